// SPDX-License-Identifier: Apache-2.0
// The same seed must give the same numbers on every machine: known values and bounds.
#include "base/random.h"

#include <gtest/gtest.h>

namespace skep {
namespace {

TEST(Random, GivesThePublishedSequenceOfSplitMix64) {
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
  EXPECT_EQ(random.next(), 9817491932198370423u);
}

TEST(Random, BelowStaysBelowItsBound) {
  Random random(7);
  EXPECT_EQ(random.below(0), 0u);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(10), 10u);
}

TEST(Random, UnitStaysInItsHalfOpenRange) {
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const double value = random.unit();
    EXPECT_GE(value, 0.0);
    EXPECT_LT(value, 1.0);
  }
}

TEST(Random, SplitGivesAnotherSequence) {
  Random random(7);
  Random other = random.split();
  EXPECT_NE(random.next(), other.next());
}

}  // namespace
}  // namespace skep
