// SPDX-License-Identifier: Apache-2.0
// Goal: an open load arrives when it is said to: at its rate, in its order, the same from the same seed.
// Method: the instants of long schedules, held against what their distribution says.
#include "schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace skep::bench {
namespace {

constexpr std::size_t kCount = 100'000;

std::vector<double> gaps_of(const std::vector<Duration>& offsets) {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < offsets.size(); ++i)
    gaps.push_back(static_cast<double>((offsets[i] - offsets[i - 1]).count()) * 1e-9);
  return gaps;
}

TEST(Schedule, ConstantGapsAreThoseOfTheRate) {
  const auto offsets = schedule(Spacing::kConstant, 3, 7, Random(1));
  ASSERT_EQ(offsets.size(), 7u);
  EXPECT_EQ(offsets.front(), Duration::zero());
  EXPECT_EQ(offsets[3], seconds(1));
  EXPECT_EQ(offsets[6], seconds(2));
}

TEST(Schedule, TheSameSeedGivesTheSameInstants) {
  EXPECT_EQ(schedule(Spacing::kPoisson, 100, 50, Random(7)), schedule(Spacing::kPoisson, 100, 50, Random(7)));
  EXPECT_NE(schedule(Spacing::kPoisson, 100, 50, Random(7)), schedule(Spacing::kPoisson, 100, 50, Random(8)));
}

TEST(Schedule, PoissonGapsAreExponential) {
  const auto offsets = schedule(Spacing::kPoisson, 1000, kCount, Random(3));
  EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
  auto gaps = gaps_of(offsets);
  std::sort(gaps.begin(), gaps.end());
  // Its quantiles: -ln(1 - share) of the mean.
  for (const double share : {0.1, 0.5, 0.9, 0.99}) {
    const double found = gaps[static_cast<std::size_t>(share * static_cast<double>(gaps.size()))];
    EXPECT_NEAR(found / (-std::log(1 - share) / 1000), 1, 0.05) << share;
  }
}

TEST(Schedule, ThereMayBeNone) {
  EXPECT_TRUE(schedule(Spacing::kPoisson, 1, 0, Random(1)).empty());
}

}  // namespace
}  // namespace skep::bench
