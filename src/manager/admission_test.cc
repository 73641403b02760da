// SPDX-License-Identifier: Apache-2.0
// New tasks stay out while the disk has no more than its reserve, and only then.
#include "manager/admission.h"

#include <gtest/gtest.h>

namespace skep::manager {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

class AdmissionTest : public ::testing::Test {
 protected:
  Admission admission(std::optional<std::uint64_t> reserve = std::nullopt) {
    return {[this] {
              ++looks_;
              return room_;
            },
            reserve};
  }

  store::DiskRoom room_{1'000 * kMib, 100 * kMib};
  int looks_ = 0;
  Instant now_ = Instant{} + hours(1);
};

TEST_F(AdmissionTest, TasksComeInUntilWhatIsLeftIsTheReserve) {
  Admission door = admission();
  EXPECT_TRUE(door.admit(now_, kMib));
  room_.free = 100 * kMib;
  EXPECT_TRUE(door.admit(now_ += seconds(1), kMib));
  room_.free = 100 * kMib - 1;
  const auto refused = door.admit(now_ += seconds(1), 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("100.0 MiB are kept"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(door.is_closed());
}

TEST_F(AdmissionTest, OnceClosedItOpensWhenThereIsClearlyMore) {
  Admission door = admission();
  room_.free = 99 * kMib;
  EXPECT_FALSE(door.admit(now_, 1));
  room_.free = 112 * kMib;
  EXPECT_FALSE(door.admit(now_ += seconds(1), 1));
  room_.free = 113 * kMib;
  EXPECT_TRUE(door.admit(now_ += seconds(1), 1));
  EXPECT_FALSE(door.is_closed());
}

TEST_F(AdmissionTest, BetweenTwoLooksWhatCameInCountsTwice) {
  Admission door = admission();
  room_.free = 110 * kMib;
  EXPECT_TRUE(door.admit(now_, 5 * kMib));
  EXPECT_TRUE(door.admit(now_, 1));
  EXPECT_FALSE(door.admit(now_, 1));
  EXPECT_EQ(looks_, 1);
}

TEST_F(AdmissionTest, ItLooksAgainAfterATimeOrManyBytes) {
  Admission door = admission();
  for (int i = 0; i < 1'000; ++i) EXPECT_TRUE(door.admit(now_, 1'000));
  EXPECT_EQ(looks_, 1);
  EXPECT_TRUE(door.admit(now_, 16 * kMib));
  EXPECT_TRUE(door.admit(now_, 1));
  EXPECT_EQ(looks_, 2);
  EXPECT_TRUE(door.admit(now_ + milliseconds(200), 1));
  EXPECT_EQ(looks_, 3);
}

TEST_F(AdmissionTest, AReserveThatIsGivenCountsInstead) {
  Admission wide = admission(0);
  room_.free = 0;
  EXPECT_TRUE(wide.admit(now_, kMib));
  Admission narrow = admission(600 * kMib);
  room_.free = 599 * kMib;
  EXPECT_FALSE(narrow.admit(now_, 1));
}

TEST_F(AdmissionTest, AStoreWithoutADiskTakesEverything) {
  room_ = {};
  Admission door = admission();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(door.admit(now_, 1'000 * kMib));
}

}  // namespace
}  // namespace skep::manager
