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

}  // namespace
}  // namespace skep::scaler
