// SPDX-License-Identifier: Apache-2.0
// Goal: quantiles of latencies are right to within a bucket, whatever their size and however they were
// merged. Method: known values, compared with what sorting them gives.
#include "histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"

namespace skep::bench::queue {
namespace {

std::uint64_t sorted_quantile(std::vector<std::int64_t> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return static_cast<std::uint64_t>(values[std::max<std::size_t>(rank, 1) - 1]);
}

TEST(Histogram, NothingRecordedHasNoQuantile) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.quantile(0.5), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (int i = 1; i <= 60; ++i) histogram.record(i);
  EXPECT_EQ(histogram.quantile(0.5), 30u);
  EXPECT_EQ(histogram.quantile(1.0), 60u);
  EXPECT_EQ(histogram.quantile(0.0), 1u);
}

TEST(Histogram, NegativeCountsAsZeroAndTheGreatestHasItsBucket) {
  Histogram histogram;
  histogram.record(-5);
  EXPECT_EQ(histogram.quantile(1.0), 0u);
  histogram.record(INT64_MAX);
  EXPECT_EQ(histogram.quantile(1.0), static_cast<std::uint64_t>(INT64_MAX));
  EXPECT_EQ(histogram.count(), 2u);
}

TEST(Histogram, QuantilesAreAtMostASixtyFourthTooHigh) {
  Random random(7);
  std::vector<std::int64_t> values;
  Histogram one, other;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<std::int64_t>(random.next() >> (20 + random.below(40)));
    values.push_back(value);
    (i % 3 == 0 ? one : other).record(value);
  }
  one.merge(other);
  EXPECT_EQ(one.count(), values.size());
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto exact = sorted_quantile(values, q);
    EXPECT_GE(one.quantile(q), exact) << q;
    EXPECT_LE(one.quantile(q), exact + exact / 64 + 1) << q;
  }
}

}  // namespace
}  // namespace skep::bench::queue
