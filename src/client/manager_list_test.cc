// SPDX-License-Identifier: Apache-2.0
// The list of managers moves on once for each silent manager and keeps its place when it is replaced.
#include "client/manager_list.h"

#include <gtest/gtest.h>

#include <map>

namespace skep::client {
namespace {

constexpr Instant kStart = kNoInstant + hours(1);

http::Url url(std::string host) {
  return {std::move(host), 80, ""};
}

TEST(ManagerList, GoesAround) {
  ManagerList list({url("a"), url("b")});
  EXPECT_EQ(list.current().host, "a");
  list.next();
  EXPECT_EQ(list.current().host, "b");
  list.next();
  EXPECT_EQ(list.current().host, "a");
}

TEST(ManagerList, TwoCallsThatFailAtOneManagerMoveItOnce) {
  ManagerList list({url("a"), url("b"), url("c")});
  Random random(1);
  list.next_after(url("a"), kStart, random);
  list.next_after(url("a"), kStart, random);
  EXPECT_EQ(list.current().host, "b");
}

TEST(ManagerList, ReplacingKeepsTheCurrentOneIfItIsStillThere) {
  ManagerList list({url("a"), url("b")});
  list.next();
  list.replace({url("x"), url("b"), url("y")});
  EXPECT_EQ(list.current().host, "b");
  EXPECT_EQ(list.size(), 3u);
  list.replace({url("x"), url("y")});
  EXPECT_EQ(list.current().host, "x");
  list.replace({});
  EXPECT_EQ(list.size(), 2u);
}

TEST(ManagerList, ThePreferredOneIsTriedAgainSomeSecondsAfterItFailed) {
  ManagerList list({url("a"), url("b"), url("c")});
  Random random(1);
  list.next_after(url("a"), kStart, random);
  EXPECT_EQ(list.choose(kStart + kReturnFirst / 2 - milliseconds(1)).host, "b");
  list.next_after(url("b"), kStart, random);
  EXPECT_EQ(list.choose(kStart + seconds(1)).host, "c") << "the others are not preferred";
  EXPECT_EQ(list.choose(kStart + kReturnFirst * 3 / 2).host, "a");
  EXPECT_EQ(list.choose(kStart + kReturnFirst * 3 / 2).host, "a");
}

TEST(ManagerList, APreferredOneThatGoesOnFailingIsTriedLessAndLessOften) {
  ManagerList list({url("a"), url("b")});
  Random random(1);
  Instant now = kStart;
  std::vector<Duration> pauses;
  for (int i = 0; i < 10; ++i) {
    list.next_after(url("a"), now, random);
    const Instant left = now;
    while (list.choose(now).host != "a") now += milliseconds(100);
    pauses.push_back(now - left);
  }
  EXPECT_LE(pauses.front(), kReturnFirst * 3 / 2 + milliseconds(100));
  EXPECT_GE(pauses.back(), kReturnMax / 2);
  EXPECT_LE(pauses.back(), kReturnMax * 3 / 2 + milliseconds(100));
  // Once it answers it is trusted again.
  list.note_answer(url("a"));
  list.next_after(url("a"), now, random);
  EXPECT_EQ(list.choose(now + kReturnFirst * 3 / 2).host, "a");
}

TEST(ManagerList, ClientsDoNotComeBackAllAtOnce) {
  std::map<std::int64_t, int> back;  // by second
  for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
    ManagerList list({url("a"), url("b")});
    Random random(seed);
    list.next_after(url("a"), kStart, random);
    Instant now = kStart;
    while (list.choose(now).host != "a") now += milliseconds(100);
    ++back[(now - kStart) / seconds(1)];
  }
  for (const auto& [second, count] : back) EXPECT_LT(count, 300) << "in second " << second;
}

TEST(ManagerList, OneThatStaysIsMovedByItsUserAlone) {
  ManagerList list({url("a"), url("b"), url("c")}, Habit::kStay);
  Random random(1);
  list.next_after(url("a"), kStart, random);
  EXPECT_EQ(list.choose(kStart + hours(1)).host, "b");
  list.move_to(url("c"));
  EXPECT_EQ(list.current().host, "c");
  list.move_to(url("unknown"));
  EXPECT_EQ(list.current().host, "c");
}

}  // namespace
}  // namespace skep::client
