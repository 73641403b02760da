// SPDX-License-Identifier: Apache-2.0
// The compute threads: every lane works, one task can be stopped or handed back, cores share their tasks, and
// the end comes whatever runs. Method: a real runner; commands that wait for a file of the test stand for
// tasks that run, endless chains for busy ones.
#include "worker/compute_threads.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/runner.h"
#include "compute/engine.h"
#include "worker/testing/processes.h"

namespace skep::worker {
namespace {

using api::v1::Outcome;
using testing::eventually;

class ComputeThreadsTest : public ::testing::Test {
 protected:
  ~ComputeThreadsTest() override {
    threads.reset();
    runner.stop();
    EXPECT_TRUE(testing::has_no_child());
    EXPECT_TRUE(work.is_empty());
  }

  // So many lanes on each core, and so many commands at once.
  void make(std::vector<std::uint32_t> lanes, std::uint32_t commands) {
    // Says that it runs, then waits to be let go.
    Programs programs{{"gate", Program({"/bin/sh", "-c",
                                        "touch \"$0/at-$(cat)\"; until [ -e \"$0/go\" ]; do sleep 0.01; done",
                                        files.path()})}};
    ComputeReplies replies;
    replies.finished = [this](Outcome outcome) { finished[outcome.lease()] = std::move(outcome); };
    replies.handed_back = [this](api::v1::ReleasedLease lease) {
      returned[lease.lease()] = std::move(lease);
    };
    replies.measured = [this](SpeedSample sample) { samples.push_back(sample); };
    threads = std::make_unique<ComputeThreads>(
        ComputeOptions{std::move(lanes), compute::widest_plan(compute::targets_here().front()), commands,
                       std::move(programs), work.path()},
        clock, runner, std::move(replies));
  }
  // On the runner, as everything here is.
  template <class F>
  auto on_runner(F look) {
    std::promise<decltype(look())> seen;
    runner.post([&] { seen.set_value(look()); });
    return seen.get_future().get();
  }
  void start(api::v1::Lease lease) {
    on_runner([&] {
      threads->start(std::move(lease));
      return 0;
    });
  }
  void stop(const std::string& lease) {
    on_runner([&] {
      threads->stop(lease);
      return 0;
    });
  }
  void hand_back(const std::string& lease) {
    on_runner([&] {
      threads->hand_back(lease);
      return 0;
    });
  }
  bool is_returned(const std::string& lease) {
    return on_runner([&] { return returned.contains(lease); });
  }
  std::uint64_t iterations_done(const std::string& lease) {
    for (const auto& item : threads->progress()) {
      if (item.lease == lease) return item.at.iterations_done;
    }
    return 0;
  }
  std::size_t finished_count() {
    return on_runner([&] { return finished.size(); });
  }
  bool is_at_gate(const std::string& lease) const { return std::filesystem::exists(files / ("at-" + lease)); }
  void open_gate() const { std::ofstream(files / "go").close(); }

  static api::v1::Lease hash(const std::string& name, std::uint64_t iterations) {
    api::v1::Lease lease;
    lease.set_lease(name);
    lease.set_kind("sha512");
    lease.set_body(name);
    lease.set_iterations(iterations);
    lease.set_keep_checkpoints(true);
    return lease;
  }
  static api::v1::Lease gate(const std::string& name) {
    api::v1::Lease lease;
    lease.set_lease(name);
    lease.set_kind("command");
    lease.set_program("gate");
    lease.set_body(name);
    return lease;
  }
  static constexpr std::uint64_t kForEver = std::uint64_t{1} << 53;

  SystemClock clock;
  testing::TemporaryDirectory files;
  testing::TemporaryDirectory work;
  Runner runner{clock, "compute-test"};
  std::map<std::string, Outcome> finished;
  std::map<std::string, api::v1::ReleasedLease> returned;
  std::vector<SpeedSample> samples;
  std::unique_ptr<ComputeThreads> threads;
};

TEST_F(ComputeThreadsTest, EveryCommandThreadWorksAndTheNextTaskWaitsForOne) {
  make({1}, 3);
  for (const auto* name : {"a", "b", "c", "d"}) start(gate(name));
  EXPECT_TRUE(eventually([&] { return is_at_gate("a") && is_at_gate("b") && is_at_gate("c"); }));
  EXPECT_FALSE(is_at_gate("d"));
  open_gate();
  EXPECT_TRUE(eventually([&] { return finished_count() == 4; }));
  EXPECT_TRUE(is_at_gate("d"));
  EXPECT_FALSE(finished.at("d").failed()) << finished.at("d").error();
}

TEST_F(ComputeThreadsTest, ManyTasksOnFewLanesEachEndOnceAndRight) {
  make({3, 2}, 1);
  for (std::uint64_t i = 1; i <= 100; ++i) start(hash("task" + std::to_string(i), i));
  EXPECT_TRUE(eventually([&] { return finished_count() == 100; }));
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const std::string name = "task" + std::to_string(i);
    EXPECT_EQ(finished.at(name).result(), compute::to_hex(compute::reference_digest(name, i)));
  }
}

TEST_F(ComputeThreadsTest, LongTasksTellHowFarTheyAreAndHowFastALaneIs) {
  make({2}, 1);
  start(hash("a", kForEver));
  EXPECT_TRUE(eventually([&] { return iterations_done("a") > 0; }));
  const auto before = iterations_done("a");
  EXPECT_TRUE(eventually([&] { return iterations_done("a") > before; }));
  EXPECT_TRUE(eventually([&] { return on_runner([&] { return !samples.empty(); }); }));
  EXPECT_GT(samples.front().compressions, 0);
  EXPECT_GT(samples.front().busy, Duration::zero());
}

TEST_F(ComputeThreadsTest, CoreThatRunsDryTakesOverAnothersTasks) {
  make({1, 1}, 1);
  for (const auto* name : {"a", "b", "c", "d"}) start(hash(name, kForEver));
  const auto begun = [&] { return threads->progress().size(); };
  EXPECT_TRUE(eventually([&] { return begun() == 2; }));
  // Tasks go to the cores in turn. Both of one core are given up; only the other's second one can fill it.
  stop("a");
  stop("c");
  EXPECT_TRUE(eventually([&] { return iterations_done("b") > 0 && iterations_done("d") > 0; }));
  for (const auto* name : {"b", "d"}) hand_back(name);
  for (const auto* name : {"b", "d"}) EXPECT_TRUE(eventually([&] { return is_returned(name); })) << name;
  EXPECT_TRUE(eventually([&] { return begun() == 0; }));
}

TEST_F(ComputeThreadsTest, TaskThatWaitsFindsTheLaneThatIsFreeElsewhere) {
  make({2, 1}, 1);
  for (const auto* name : {"1", "2", "3", "4", "5"}) start(hash(name, kForEver));
  EXPECT_TRUE(eventually([&] { return threads->progress().size() == 3; }));
  stop("1");
  stop("3");
  for (const auto* name : {"2", "4", "5"})
    EXPECT_TRUE(eventually([&] { return iterations_done(name) > 0; })) << name;
}

TEST_F(ComputeThreadsTest, HandedBackTaskTellsWhatTheNextAttemptNeeds) {
  make({1}, 1);
  start(hash("a", 40'000'000));
  EXPECT_TRUE(eventually([&] { return iterations_done("a") > 0; }));
  hand_back("a");
  EXPECT_TRUE(eventually([&] { return is_returned("a"); }));
  const auto& released = returned.at("a");
  EXPECT_TRUE(released.started());
  auto next = hash("b", released.iterations_done() + 10);
  next.clear_body();
  next.set_iterations_done(released.iterations_done());
  next.set_checkpoint(released.checkpoint());
  start(next);
  EXPECT_TRUE(eventually([&] { return finished_count() == 1; }));
  EXPECT_EQ(finished.at("b").result(),
            compute::to_hex(compute::reference_digest("a", released.iterations_done() + 10)));
}

TEST_F(ComputeThreadsTest, TaskWithoutALaneIsHandedBackAndOneThatRunsGoesOn) {
  make({1}, 1);
  start(hash("runs", kForEver));
  EXPECT_TRUE(eventually([&] { return iterations_done("runs") > 0; }));
  start(hash("waits", kForEver));
  on_runner([&] {
    threads->hand_back_waiting("runs");
    threads->hand_back_waiting("waits");
    return 0;
  });
  EXPECT_TRUE(eventually([&] { return is_returned("waits"); }));
  EXPECT_FALSE(returned.at("waits").started());
  EXPECT_FALSE(is_returned("runs"));
  const auto done = iterations_done("runs");
  EXPECT_TRUE(eventually([&] { return iterations_done("runs") > done; }));
}

TEST_F(ComputeThreadsTest, HandedBackCommandIsStoppedAndHasNoCheckpoint) {
  make({1}, 1);
  start(gate("runs"));
  start(gate("waits"));
  EXPECT_TRUE(eventually([&] { return is_at_gate("runs"); }));
  hand_back("waits");
  hand_back("runs");
  hand_back("unknown");
  EXPECT_TRUE(eventually([&] { return is_returned("runs") && is_returned("waits"); }));
  EXPECT_TRUE(returned.at("runs").started());
  EXPECT_FALSE(returned.at("waits").started());
  EXPECT_FALSE(is_returned("unknown"));
  EXPECT_EQ(finished_count(), 0u);
}

TEST_F(ComputeThreadsTest, StopEndsThatTaskAloneAndFreesItsLane) {
  make({1}, 1);
  start(gate("kept"));
  start(hash("busy", kForEver));
  start(hash("next", 3));
  EXPECT_TRUE(eventually([&] { return is_at_gate("kept"); }));
  stop("busy");
  EXPECT_TRUE(eventually([&] { return finished_count() == 1; }));
  EXPECT_EQ(finished.count("next"), 1u);
  open_gate();
  EXPECT_TRUE(eventually([&] { return finished_count() == 2; }));
  EXPECT_EQ(finished.count("kept"), 1u);
  EXPECT_EQ(finished.count("busy"), 0u);
}

TEST_F(ComputeThreadsTest, StoppedTaskThatStillWaitsNeverRuns) {
  make({1}, 1);
  start(gate("first"));
  start(gate("second"));
  start(hash("third", 1));
  EXPECT_TRUE(eventually([&] { return is_at_gate("first"); }));
  stop("second");
  stop("unknown");
  open_gate();
  EXPECT_TRUE(eventually([&] { return finished_count() == 2; }));
  EXPECT_FALSE(is_at_gate("second"));
}

TEST_F(ComputeThreadsTest, UnknownKindIsAFailureForGood) {
  make({1}, 1);
  api::v1::Lease lease;
  lease.set_lease("a");
  lease.set_kind("dance");
  start(lease);
  EXPECT_TRUE(eventually([&] { return finished_count() == 1; }));
  EXPECT_TRUE(finished.at("a").failed());
  EXPECT_TRUE(finished.at("a").permanent());
  EXPECT_EQ(finished.at("a").error(), "this worker does not know the kind \"dance\"");
}

TEST_F(ComputeThreadsTest, EndStopsWhatRunsAndDropsWhatWaits) {
  make({1, 1}, 1);
  start(gate("command"));
  start(hash("busy", kForEver));
  for (int i = 0; i < 10; ++i) start(hash("waits" + std::to_string(i), kForEver));
  EXPECT_TRUE(eventually([&] { return is_at_gate("command"); }));
  threads.reset();
  EXPECT_EQ(finished_count(), 0u);
}

TEST_F(ComputeThreadsTest, EndWithoutAnyTaskIsImmediate) {
  make({2, 2, 2}, 8);
  threads.reset();
  EXPECT_EQ(finished_count(), 0u);
}

}  // namespace
}  // namespace skep::worker
