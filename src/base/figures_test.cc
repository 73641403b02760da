// SPDX-License-Identifier: Apache-2.0
// Goal: numbers are shown as people read them. Method: examples, and the edges of each form.
#include "base/figures.h"

#include <gtest/gtest.h>

#include <limits>

namespace skep {
namespace {

constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();

TEST(Figures, DigitsAreGroupedByThree) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1'000), "1,000");
  EXPECT_EQ(with_thousands(374'000'000), "374,000,000");
  EXPECT_EQ(with_thousands(kMost), "18,446,744,073,709,551,615");
}

TEST(Figures, AShareIsAllOnlyOfAll) {
  EXPECT_EQ(describe_share(0, 7), "0.0 %");
  EXPECT_EQ(describe_share(374, 1'000), "37.4 %");
  EXPECT_EQ(describe_share(999'999, 1'000'000), "99.9 %");
  EXPECT_EQ(describe_share(kMost - 1, kMost), "99.9 %");
  EXPECT_EQ(describe_share(7, 7), "100.0 %");
  EXPECT_EQ(describe_share(0, 0), "100.0 %");
}

TEST(Figures, ARateHasTheUnitThatFits) {
  EXPECT_EQ(describe_rate(0.25), "0.2/s");
  EXPECT_EQ(describe_rate(999), "999.0/s");
  EXPECT_EQ(describe_rate(999.99), "1.0 k/s");
  EXPECT_EQ(describe_rate(4'123'456), "4.1 M/s");
  EXPECT_EQ(describe_rate(7e12), "7000.0 G/s");
}

}  // namespace
}  // namespace skep
