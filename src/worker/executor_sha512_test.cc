// SPDX-License-Identifier: Apache-2.0
// The hash task: right digests, and that it gives up in time. Method: the reference (OpenSSL's one-shot
// digest) beside it, a clock and a stop signal that the progress of the run itself moves.
#include "worker/executor_sha512.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/testing/virtual_executor.h"

namespace skep::worker {
namespace {

using api::v1::Outcome;

class RunSha512 : public ::testing::Test {
 protected:
  static api::v1::Lease lease(std::string body, std::uint64_t iterations) {
    api::v1::Lease out;
    out.set_lease("l");
    out.set_kind("sha512");
    out.set_body(std::move(body));
    out.set_iterations(iterations);
    return out;
  }
  std::optional<Outcome> run(api::v1::Lease lease) {
    return run_sha512(std::move(lease), *engine, time, stop, [this](std::uint64_t done) {
      reached.push_back(done);
      if (on_progress) on_progress();
    });
  }

  static constexpr std::uint64_t kForEver = std::uint64_t{1} << 53;

  std::unique_ptr<compute::Engine> engine =
      compute::make_engine(compute::widest_plan(compute::Target::kScalar));
  skep::testing::VirtualExecutor time;
  StopSignal stop;
  std::function<void()> on_progress;
  std::vector<std::uint64_t> reached;
};

TEST_F(RunSha512, ResultIsTheReferencesDigestInHex) {
  for (const auto& body : {std::string(), std::string("abc"), std::string(1 << 20, '\xff')}) {
    for (const std::uint64_t iterations : {1u, 2u, 1'000u, 50'001u}) {
      const auto outcome = run(lease(body, iterations));
      ASSERT_TRUE(outcome.has_value());
      EXPECT_FALSE(outcome->failed());
      EXPECT_EQ(outcome->lease(), "l");
      EXPECT_EQ(outcome->result(), compute::to_hex(compute::reference_digest(body, iterations)));
    }
  }
  EXPECT_EQ(engine->jobs(), 0u);
}

TEST_F(RunSha512, ProgressOnlyGrowsAndStaysBelowTheEnd) {
  ASSERT_TRUE(run(lease("body", 100'000)).has_value());
  ASSERT_GE(reached.size(), 2u);
  for (std::size_t i = 1; i < reached.size(); ++i) EXPECT_GT(reached[i], reached[i - 1]);
  EXPECT_GT(reached.front(), 0u);
  EXPECT_LT(reached.back(), 100'000u);
}

TEST_F(RunSha512, StopTakesEffectWithTheNextSlice) {
  on_progress = [this] {
    if (reached.size() == 3) stop.raise();
  };
  EXPECT_FALSE(run(lease("body", kForEver)).has_value());
  EXPECT_EQ(reached.size(), 3u);
  EXPECT_EQ(engine->jobs(), 0u);
  // The engine is as good as before.
  stop.clear();
  on_progress = nullptr;
  EXPECT_EQ(run(lease("abc", 2))->result(), compute::to_hex(compute::reference_digest("abc", 2)));
}

TEST_F(RunSha512, RunBeyondItsTimeoutFailsAndMayBeRetried) {
  auto task = lease("body", kForEver);
  task.set_timeout_ms(5'000);
  on_progress = [this] { time.run_for(seconds(1)); };
  const auto outcome = run(std::move(task));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed());
  EXPECT_TRUE(outcome->timed_out());
  EXPECT_FALSE(outcome->permanent());
  EXPECT_EQ(outcome->error(), "ran longer than 5s");
  EXPECT_EQ(outcome->run_us(), 5'000'000u);
  EXPECT_EQ(reached.size(), 5u);
  EXPECT_EQ(engine->jobs(), 0u);
}

TEST_F(RunSha512, NoIterationsIsAFailureForGood) {
  const auto outcome = run(lease("body", 0));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed());
  EXPECT_TRUE(outcome->permanent());
  EXPECT_EQ(outcome->error(), "iterations must be at least 1");
}

}  // namespace
}  // namespace skep::worker
