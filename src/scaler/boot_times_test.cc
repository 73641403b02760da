// SPDX-License-Identifier: Apache-2.0
// Boot times on rows worked by hand.
#include "scaler/boot_times.h"

#include <gtest/gtest.h>

namespace skep::scaler {
namespace {

TEST(BootTimes, OfNoneIsZero) {
  EXPECT_TRUE(BootTimes().is_empty());
  EXPECT_EQ(BootTimes().within(0.5), Duration::zero());
}

TEST(BootTimes, OneSlowBootIsNoRule) {
  BootTimes boots;
  for (int i = 1; i <= 9; ++i) boots.add(seconds(40 + i));
  boots.add(minutes(5));
  EXPECT_EQ(boots.within(0.5), seconds(46));
  EXPECT_EQ(boots.within(0.9), seconds(49));
  EXPECT_EQ(boots.within(1), minutes(5));
}

TEST(BootTimes, OnlyTheLastSixteenCount) {
  BootTimes boots;
  for (int i = 0; i < 16; ++i) boots.add(minutes(10));
  for (int i = 0; i < 16; ++i) boots.add(seconds(30));
  EXPECT_EQ(boots.within(1), seconds(30));
}

TEST(BootTimesByType, EachTypeHasItsOwnAndTheUnknownIsAsAllAre) {
  BootTimesByType boots;
  EXPECT_TRUE(boots.is_empty());
  for (int i = 0; i < 10; ++i) boots.add("small", seconds(20));
  for (int i = 0; i < 4; ++i) boots.add("metal", minutes(5));
  EXPECT_EQ(boots.within("small", 0.9), seconds(20));
  EXPECT_EQ(boots.within("metal", 0.5), minutes(5));
  EXPECT_EQ(boots.within("other", 0.5), seconds(20)) << "half of all of them";
  EXPECT_EQ(boots.within("other", 0.9), minutes(5));
  EXPECT_EQ(boots.types(), (std::vector<TypeBoots>{{"metal", 4, minutes(5), minutes(5)},
                                                   {"small", 10, seconds(20), seconds(20)}}));
}

TEST(BootTimesByType, OnlySoManyTypesAreRemembered) {
  BootTimesByType boots;
  for (int i = 0; i < 100; ++i) {
    boots.add("t" + std::to_string(i), seconds(1));
    boots.add("always", seconds(9));
  }
  EXPECT_EQ(boots.types().size(), BootTimesByType::kTypesMax);
  EXPECT_EQ(boots.within("always", 0.5), seconds(9));
}

}  // namespace
}  // namespace skep::scaler
