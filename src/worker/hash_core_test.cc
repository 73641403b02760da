// SPDX-License-Identifier: Apache-2.0
// One core's tasks: right results, stopped and timed out between slices, handed back with what is done, and
// taken up where they were left. Method: a virtual clock; the test decides how long slices take.
#include "worker/hash_core.h"

#include <gtest/gtest.h>

#include <map>

#include "base/testing/virtual_executor.h"

namespace skep::worker {
namespace {

using api::v1::Lease;
using api::v1::Outcome;

class HashCoreTest : public ::testing::Test {
 protected:
  static Lease lease(const std::string& name, std::string body, std::uint64_t iterations) {
    Lease out;
    out.set_lease(name);
    out.set_kind("sha512");
    out.set_body(std::move(body));
    out.set_iterations(iterations);
    out.set_keep_checkpoints(true);
    return out;
  }
  static std::string digest(const std::string& body, std::uint64_t iterations) {
    return compute::to_hex(compute::reference_digest(body, iterations));
  }
  static HashCore make(const Clock& clock, std::size_t lanes = 4) {
    return {compute::make_engine(compute::widest_plan(compute::targets_here().front()).limited_to(lanes)),
            clock};
  }
  std::map<std::string, Outcome> run_all(HashCore& hash) {
    std::map<std::string, Outcome> out;
    while (hash.tasks() > 0) {
      for (auto& outcome : hash.run().outcomes) {
        const std::string name = outcome.lease();
        EXPECT_TRUE(out.emplace(name, std::move(outcome)).second);
      }
    }
    return out;
  }

  static constexpr std::uint64_t kForEver = std::uint64_t{1} << 53;

  skep::testing::VirtualExecutor time;
  HashCore core = make(time);
};

TEST_F(HashCoreTest, ResultsAreTheReferencesDigestsInHex) {
  std::map<std::string, std::string> expected;
  for (const auto& body : {std::string(), std::string("abc"), std::string(1 << 20, '\xff')}) {
    for (const std::uint64_t iterations : {1u, 2u, 1'000u, 50'001u}) {
      const std::string name = std::to_string(expected.size());
      expected[name] = digest(body, iterations);
      EXPECT_FALSE(core.add(lease(name, body, iterations)).has_value());
    }
  }
  const auto outcomes = run_all(core);
  ASSERT_EQ(outcomes.size(), expected.size());
  for (const auto& [name, outcome] : outcomes) {
    EXPECT_FALSE(outcome.failed());
    EXPECT_EQ(outcome.result(), expected.at(name)) << name;
  }
}

TEST_F(HashCoreTest, NoIterationsIsAFailureForGood) {
  const auto outcome = core.add(lease("a", "body", 0));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed());
  EXPECT_TRUE(outcome->permanent());
  EXPECT_EQ(outcome->error(), "iterations must be at least 1");
  EXPECT_EQ(core.tasks(), 0u);
}

TEST_F(HashCoreTest, ProgressIsOfWhatHasALane) {
  HashCore one = make(time, 1);
  one.add(lease("first", "body", kForEver));
  one.add(lease("second", "body", kForEver));
  EXPECT_TRUE(one.progress().empty());
  one.run();
  const auto progress = one.progress();
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].lease, "first");
  EXPECT_EQ(progress[0].at.digest, compute::reference_digest("body", progress[0].at.iterations_done));
}

TEST_F(HashCoreTest, RunBeyondItsTimeoutFailsAndMayBeRetried) {
  auto task = lease("a", "body", kForEver);
  task.set_timeout_ms(5'000);
  core.add(std::move(task));
  core.add(lease("other", "body", kForEver));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(core.run().outcomes.empty()) << i;
    time.run_for(seconds(1));
  }
  const auto outcomes = core.run().outcomes;
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_TRUE(outcomes[0].failed());
  EXPECT_TRUE(outcomes[0].timed_out());
  EXPECT_FALSE(outcomes[0].permanent());
  EXPECT_EQ(outcomes[0].error(), "ran longer than 5s");
  EXPECT_EQ(outcomes[0].run_us(), 5'000'000u);
  EXPECT_EQ(core.tasks(), 1u);
}

TEST_F(HashCoreTest, TimeoutCountsFromTheLaneAndNotFromTheQueue) {
  HashCore one = make(time, 1);
  one.add(lease("first", "body", kForEver));
  auto task = lease("second", "body", kForEver);
  task.set_timeout_ms(1'000);
  one.add(std::move(task));
  one.run();
  time.run_for(seconds(10));
  EXPECT_TRUE(one.run().outcomes.empty());
  EXPECT_TRUE(one.stop("first"));
  EXPECT_TRUE(one.run().outcomes.empty());  // it begins now
  time.run_for(seconds(1));
  EXPECT_EQ(one.run().outcomes.size(), 1u);
}

TEST_F(HashCoreTest, StoppedTaskIsGone) {
  core.add(lease("a", "body", kForEver));
  core.add(lease("b", "abc", 2));
  core.run();
  EXPECT_TRUE(core.stop("a"));
  EXPECT_FALSE(core.stop("a"));
  EXPECT_FALSE(core.stop("b"));  // has ended
  EXPECT_EQ(core.tasks(), 0u);
  core.add(lease("c", "abc", 2));
  EXPECT_EQ(run_all(core).at("c").result(), digest("abc", 2));
}

TEST_F(HashCoreTest, HandedBackTaskGoesOnElsewhere) {
  core.add(lease("a", "body", 200'000));
  core.run();
  const auto released = core.hand_back("a");
  ASSERT_TRUE(released.has_value());
  EXPECT_TRUE(released->started());
  EXPECT_GT(released->iterations_done(), 0u);
  ASSERT_EQ(released->checkpoint().size(), 64u);
  EXPECT_FALSE(core.hand_back("a").has_value());

  auto next = lease("b", "not looked at", 200'000);
  next.set_iterations_done(released->iterations_done());
  next.set_checkpoint(released->checkpoint());
  HashCore other = make(time);
  other.add(std::move(next));
  EXPECT_EQ(run_all(other).at("b").result(), digest("body", 200'000));
}

TEST_F(HashCoreTest, HandedBackWithoutACheckpointWhenNoneIsWanted) {
  auto task = lease("a", "body", kForEver);
  task.set_keep_checkpoints(false);
  core.add(std::move(task));
  core.run();
  const auto released = core.hand_back("a");
  ASSERT_TRUE(released.has_value());
  EXPECT_TRUE(released->started());
  EXPECT_TRUE(released->checkpoint().empty());
  EXPECT_EQ(released->iterations_done(), 0u);
}

TEST_F(HashCoreTest, HandedBackBeforeItBeganIsNotStarted) {
  core.add(lease("a", "body", kForEver));
  const auto released = core.hand_back("a");
  ASSERT_TRUE(released.has_value());
  EXPECT_FALSE(released->started());
  EXPECT_TRUE(released->checkpoint().empty());
}

TEST_F(HashCoreTest, OnlyATaskThatHasHadNoLaneIsHandedBackAsWaiting) {
  HashCore one = make(time, 1);
  one.add(lease("runs", "body", kForEver));
  one.add(lease("waits", "body", kForEver));
  one.run();
  EXPECT_FALSE(one.hand_back_waiting("runs").has_value());
  EXPECT_FALSE(one.hand_back_waiting("unknown").has_value());
  const auto released = one.hand_back_waiting("waits");
  ASSERT_TRUE(released.has_value());
  EXPECT_FALSE(released->started());
  EXPECT_EQ(one.tasks(), 1u);
}

TEST_F(HashCoreTest, CheckpointThatMakesNoSenseIsNotUsed) {
  const std::string digest_of_one(64, 'x');
  for (const auto& [done, checkpoint] : {std::pair{0u, digest_of_one},
                                         {10u, digest_of_one},
                                         {11u, digest_of_one},
                                         {5u, std::string("short")}}) {
    auto task = lease("a", "body", 10);
    task.set_iterations_done(done);
    task.set_checkpoint(checkpoint);
    core.add(std::move(task));
    EXPECT_EQ(run_all(core).at("a").result(), digest("body", 10)) << done;
  }
}

TEST_F(HashCoreTest, GivenAwayTaskIsOneThatWaitsIfThereIsOne) {
  HashCore one = make(time, 1);
  one.add(lease("runs", "body", 300'000));
  one.run();
  one.add(lease("waits", "body", 10));
  auto waiting = one.give_away();
  ASSERT_TRUE(waiting.has_value());
  EXPECT_EQ(waiting->lease.lease(), "waits");
  auto running = one.give_away();
  ASSERT_TRUE(running.has_value());
  EXPECT_EQ(running->lease.lease(), "runs");
  EXPECT_GT(running->job.from.iterations_done, 0u);
  EXPECT_FALSE(one.give_away().has_value());

  HashCore other = make(time);
  other.adopt(std::move(*running));
  other.adopt(std::move(*waiting));
  const auto outcomes = run_all(other);
  EXPECT_EQ(outcomes.at("runs").result(), digest("body", 300'000));
  EXPECT_EQ(outcomes.at("waits").result(), digest("body", 10));
}

TEST_F(HashCoreTest, SpeedIsToldOfWholeSlicesOnly) {
  core.add(lease("a", "body", 10));
  EXPECT_EQ(core.run().slot_compressions, 0);
  core.add(lease("b", "body", kForEver));
  const auto slice = core.run();
  // One lane was used: a slot of the full engine would have been slower by its share.
  EXPECT_GT(slice.slot_compressions, 0);
}

}  // namespace
}  // namespace skep::worker
