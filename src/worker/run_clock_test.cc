// SPDX-License-Identifier: Apache-2.0
// When a run is late, and what is told of its time. Method: virtual time.
#include "worker/run_clock.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/testing/virtual_executor.h"

namespace skep::worker {
namespace {

api::v1::Lease lease(std::uint64_t timeout_ms) {
  api::v1::Lease out;
  out.set_timeout_ms(timeout_ms);
  return out;
}

TEST(RunClock, RunIsLateAtItsTimeout) {
  skep::testing::VirtualExecutor time;
  const RunClock run(lease(1'500), time.now());
  EXPECT_EQ(run.deadline(), time.now() + milliseconds(1'500));
  time.run_for(milliseconds(1'499));
  EXPECT_FALSE(run.is_late(time.now()));
  time.run_for(milliseconds(1));
  EXPECT_TRUE(run.is_late(time.now()));
  EXPECT_EQ(run.late_sentence(), "ran longer than 1s500ms");
}

TEST(RunClock, WithoutATimeoutItIsNeverLate) {
  skep::testing::VirtualExecutor time;
  const RunClock run(lease(0), time.now());
  EXPECT_EQ(run.deadline(), kNever);
  time.run_for(hours(24 * 365));
  EXPECT_FALSE(run.is_late(time.now()));
}

TEST(RunClock, TimeoutBeyondTheLimitIsTheLimit) {
  skep::testing::VirtualExecutor time;
  const RunClock run(lease(std::numeric_limits<std::uint64_t>::max()), time.now());
  EXPECT_EQ(run.deadline(), time.now() + limits::kRunTimeoutMax);
}

TEST(RunClock, TellsTheTimeThatTheRunTook) {
  skep::testing::VirtualExecutor time;
  const RunClock run(lease(0), time.now());
  time.run_for(milliseconds(12) + microseconds(345));
  api::v1::Outcome outcome;
  run.stop(outcome, time.now());
  EXPECT_EQ(outcome.run_us(), 12'345u);
}

}  // namespace
}  // namespace skep::worker
