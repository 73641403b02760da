// SPDX-License-Identifier: Apache-2.0
// The speed that is told: measured, weighted by time, and forgotten after a while.
#include "worker/speed_meter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace skep::worker {
namespace {

TEST(SpeedMeter, KnowsNothingBeforeItMeasured) {
  SpeedMeter meter;
  EXPECT_EQ(meter.iterations_per_second(), 0);
  meter.add(100, Duration::zero());
  meter.add(100, seconds(-1));
  EXPECT_EQ(meter.iterations_per_second(), 0);
}

TEST(SpeedMeter, SteadyWorkIsToldExactly) {
  SpeedMeter meter;
  for (int i = 0; i < 1'000; ++i) {
    meter.add(250, milliseconds(250));
    EXPECT_NEAR(meter.iterations_per_second(), 1'000, 1e-6);
  }
}

TEST(SpeedMeter, ShortAndLongReportsCountByTheirTime) {
  SpeedMeter meter;
  meter.add(1'000, milliseconds(100));  // ten times as fast, for a tenth of the time
  meter.add(1'000, seconds(1));
  EXPECT_NEAR(meter.iterations_per_second(), 2'000 / 1.1, 30);
}

TEST(SpeedMeter, OldSpeedFades) {
  SpeedMeter meter;
  meter.add(1'000'000, seconds(1));
  double before = meter.iterations_per_second();
  for (int i = 0; i < 120; ++i) {
    meter.add(1'000, seconds(1));
    EXPECT_LT(meter.iterations_per_second(), before);
    before = meter.iterations_per_second();
  }
  EXPECT_NEAR(before, 1'000, 1'000);
  // One report longer than the memory is all that it knows.
  meter.add(7'000, seconds(1'000));
  EXPECT_NEAR(meter.iterations_per_second(), 7, 1e-9);
}

TEST(SpeedMeter, LargestCountsStayFinite) {
  SpeedMeter meter;
  for (int i = 0; i < 100; ++i) meter.add(~std::uint64_t{0}, Duration(1));
  EXPECT_TRUE(std::isfinite(meter.iterations_per_second()));
  EXPECT_GT(meter.iterations_per_second(), 1e18);
}

}  // namespace
}  // namespace skep::worker
