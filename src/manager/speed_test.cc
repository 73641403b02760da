// SPDX-License-Identifier: Apache-2.0
// What is learned of classes of tasks: apart from each other, from the wider one where nothing is known, and
// of a bounded number.
#include "manager/speed.h"

#include <gtest/gtest.h>

#include <map>

namespace skep::manager {
namespace {

double second_of(const Speed& speed, const std::string& queue, const std::string& program) {
  return speed.unit_seconds(queue, "command", program);
}

std::map<std::string, double> rates_of(const Speed& speed) {
  std::map<std::string, double> rates;
  speed.visit_rates([&](const std::string& queue, double rate) { rates[queue] += rate; });
  return rates;
}

TEST(Speed, UnitsAreCompressionsOrTasks) {
  EXPECT_EQ(Speed::units("sha512", 100, 256), 102);
  EXPECT_EQ(Speed::units("command", 0, 256), 1);
}

TEST(Speed, BeforeAnythingHasEndedThereIsABelief) {
  const Speed speed;
  EXPECT_EQ(speed.unit_seconds("q", "sha512", ""), 2.5e-7);
  EXPECT_EQ(second_of(speed, "q", "p"), 1);
}

TEST(Speed, ProgramsDoNotSpoilEachOther) {
  Speed speed;
  for (int i = 0; i < 50; ++i) {
    speed.learn("q", "command", "quick", 1, 1);
    speed.learn("q", "command", "slow", 1, 600);
  }
  EXPECT_NEAR(second_of(speed, "q", "quick"), 1, 1e-9);
  EXPECT_NEAR(second_of(speed, "q", "slow"), 600, 1e-6);
}

TEST(Speed, QueuesDoNotSpoilEachOther) {
  Speed speed;
  for (int i = 0; i < 50; ++i) {
    speed.learn("thumbnails", "command", "render", 1, 2);
    speed.learn("films", "command", "render", 1, 200);
  }
  EXPECT_NEAR(second_of(speed, "thumbnails", "render"), 2, 1e-9);
  EXPECT_NEAR(second_of(speed, "films", "render"), 200, 1e-6);
}

TEST(Speed, TheUnknownIsTakenFromTheNextWiderClass) {
  Speed speed;
  speed.learn("q", "command", "p", 1, 10);
  EXPECT_EQ(second_of(speed, "other", "p"), 10) << "the program in any queue";
  speed.learn("q", "command", "r", 1, 30);
  EXPECT_EQ(second_of(speed, "other", "p"), 10);
  EXPECT_EQ(second_of(speed, "other", "unknown"), 20) << "the kind in any queue";
  EXPECT_EQ(speed.unit_seconds("q", "kind", ""), 20) << "all but sha512";
  EXPECT_EQ(speed.unit_seconds("q", "sha512", ""), 2.5e-7) << "which is counted in other units";
  speed.learn("q", "sha512", "", 1'000'000, 2);
  EXPECT_EQ(speed.unit_seconds("other", "sha512", ""), 2e-6);
}

// The mean of the first ten, then about of the last ten.
TEST(Speed, OneOddTaskAtTheBeginningIsForgotten) {
  Speed speed;
  speed.learn("q", "command", "p", 1, 100);
  for (int i = 0; i < 9; ++i) speed.learn("q", "command", "p", 1, 1);
  EXPECT_NEAR(second_of(speed, "q", "p"), 10.9, 1e-9);
  for (int i = 0; i < 40; ++i) speed.learn("q", "command", "p", 1, 1);
  EXPECT_NEAR(second_of(speed, "q", "p"), 1, 0.2);
}

TEST(Speed, AShortChainInANewQueueDoesNotOutweighWhatIsKnown) {
  Speed speed;
  for (int i = 0; i < 20; ++i) speed.learn("default", "sha512", "", 4e6, 1);
  speed.learn("new", "sha512", "", 1, 0.001);  // overhead alone: a thousand times as long an iteration
  EXPECT_LT(speed.unit_seconds("new", "sha512", ""), 1e-6);
  for (int i = 0; i < 20; ++i) speed.learn("new", "sha512", "", 4e6, 2);
  EXPECT_NEAR(speed.unit_seconds("new", "sha512", ""), 5e-7, 1e-8);
  EXPECT_NEAR(speed.unit_seconds("default", "sha512", ""), 2.5e-7, 1e-9);
}

TEST(Speed, WhatTookNoTimeTeachesNothing) {
  Speed speed;
  speed.learn("q", "command", "p", 1, 0);
  speed.learn("q", "sha512", "", 0, 1);
  EXPECT_EQ(second_of(speed, "q", "p"), 1);
  EXPECT_EQ(speed.unit_seconds("q", "sha512", ""), 2.5e-7);
  EXPECT_EQ(speed.seen("q", "command", "p"), 0u);
}

TEST(Speed, RatesAreOfTheWorkThatArrivesInEachQueue) {
  Speed speed;
  speed.learn("a", "command", "p", 1, 3);
  for (int second = 0; second < 300; ++second) {
    speed.arrived("a", "command", "p", 1);
    speed.arrived("b", "sha512", "", 4e6);
    speed.pass(1);
  }
  EXPECT_NEAR(rates_of(speed)["a"], 3, 0.01);
  EXPECT_NEAR(rates_of(speed)["b"], 1, 0.01);
  speed.pass(300);
  EXPECT_NEAR(rates_of(speed)["a"], 0, 0.01);
}

TEST(Speed, ManyQueuesAndProgramsTakeNoMoreMemory) {
  Speed speed;
  speed.learn("default", "command", "first", 1, 7);
  for (int i = 0; i < 10'000; ++i) {
    speed.learn("q" + std::to_string(i), "command", "p" + std::to_string(i % 500), 1, 7);
    if (i % 100 == 0) speed.learn("default", "command", "first", 1, 7);
  }
  EXPECT_EQ(speed.size(), Speed::kClassesMax);
  EXPECT_GT(speed.seen("default", "command", "first"), 100u) << "what is used stays";
  EXPECT_EQ(speed.seen("q0", "command", "p0"), 0u);
  EXPECT_EQ(second_of(speed, "q0", "p0"), 7) << "and the wider class stands in for what went";
}

TEST(Speed, WhatArrivesInMoreQueuesThanAreKnownIsCountedTogether) {
  Speed speed;
  speed.learn("q0", "command", "p", 1, 2);
  for (int second = 0; second < 300; ++second) {
    for (int i = 0; i < 2'000; ++i) speed.arrived("q" + std::to_string(i), "command", "p", 1);
    speed.pass(1);
  }
  double all = 0;
  for (const auto& [queue, rate] : rates_of(speed)) all += rate;
  EXPECT_NEAR(all, 4'000, 40);
}

TEST(Speed, WorkIsUnitsBySeconds) {
  Speed speed;
  speed.learn("q", "command", "p", 1, 5);
  speed.learn("q", "sha512", "", 1'000, 1);
  queue::Work tasks;
  tasks.tasks = tasks.others = 3;
  EXPECT_EQ(speed.seconds("q", "command", "p", tasks), 15);
  queue::Work hashes;
  hashes.tasks = 2;
  hashes.iterations = 3'000;
  hashes.bytes = 128'000;
  EXPECT_NEAR(speed.seconds("q", "sha512", "", hashes), 4, 1e-9);
}

}  // namespace
}  // namespace skep::manager
