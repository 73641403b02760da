// SPDX-License-Identifier: Apache-2.0
// The compute threads: every slot works, one task can be stopped, and the end comes whatever runs. Method: a
// real runner; commands that wait for a file of the test stand for tasks that run, endless chains for busy
// ones.
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

  void make(std::uint32_t slots) {
    // Says that it runs, then waits to be let go.
    Programs programs{
        {"gate",
         {"/bin/sh", "-c", "touch \"$0/at-$(cat)\"; until [ -e \"$0/go\" ]; do sleep 0.01; done",
          files.path()}}};
    ComputeReplies replies;
    replies.finished = [this](Outcome outcome) { finished[outcome.lease()] = std::move(outcome); };
    replies.progressed = [this](Progress progress) { progressed.push_back(std::move(progress)); };
    threads = std::make_unique<ComputeThreads>(ComputeOptions{slots, std::move(programs), work.path()}, clock,
                                               runner, std::move(replies));
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
  std::vector<Progress> progressed;
  std::unique_ptr<ComputeThreads> threads;
};

TEST_F(ComputeThreadsTest, EverySlotWorksAndTheNextTaskWaitsForOne) {
  make(3);
  for (const auto* name : {"a", "b", "c", "d"}) start(gate(name));
  EXPECT_TRUE(eventually([&] { return is_at_gate("a") && is_at_gate("b") && is_at_gate("c"); }));
  EXPECT_FALSE(is_at_gate("d"));
  open_gate();
  EXPECT_TRUE(eventually([&] { return finished_count() == 4; }));
  EXPECT_TRUE(is_at_gate("d"));
  EXPECT_FALSE(finished.at("d").failed()) << finished.at("d").error();
}

TEST_F(ComputeThreadsTest, ManyTasksOnFewSlotsEachEndOnceAndRight) {
  make(2);
  for (std::uint64_t i = 1; i <= 100; ++i) start(hash("task" + std::to_string(i), i));
  EXPECT_TRUE(eventually([&] { return finished_count() == 100; }));
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const std::string name = "task" + std::to_string(i);
    EXPECT_EQ(finished.at(name).result(), compute::to_hex(compute::reference_digest(name, i)));
  }
}

TEST_F(ComputeThreadsTest, LastProgressOfATaskComesBeforeItsOutcomeAndTellsAllOfIt) {
  make(1);
  start(hash("a", 5'000));
  EXPECT_TRUE(eventually([&] { return finished_count() == 1; }));
  ASSERT_FALSE(progressed.empty());
  EXPECT_EQ(progressed.back().lease, "a");
  EXPECT_EQ(progressed.back().iterations_done, 5'000u);
  std::uint64_t sum = 0;
  for (const auto& step : progressed) {
    sum += step.iterations_since;
    EXPECT_GE(step.busy, Duration::zero());
  }
  EXPECT_EQ(sum, 5'000u);
}

TEST_F(ComputeThreadsTest, LongTaskTellsHowFarItIs) {
  make(1);
  start(hash("a", kForEver));
  EXPECT_TRUE(eventually([&] { return on_runner([&] { return progressed.size() >= 2; }); }));
  EXPECT_GT(progressed[1].iterations_done, progressed[0].iterations_done);
  EXPECT_GT(progressed[1].busy, Duration::zero());
}

TEST_F(ComputeThreadsTest, StopEndsThatTaskAloneAndFreesItsSlot) {
  make(2);
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
  make(1);
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
  make(1);
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
  make(2);
  start(gate("command"));
  start(hash("busy", kForEver));
  for (int i = 0; i < 10; ++i) start(hash("waits" + std::to_string(i), kForEver));
  EXPECT_TRUE(eventually([&] { return is_at_gate("command"); }));
  threads.reset();
  EXPECT_EQ(finished_count(), 0u);
}

TEST_F(ComputeThreadsTest, EndWithoutAnyTaskIsImmediate) {
  make(8);
  threads.reset();
  EXPECT_EQ(finished_count(), 0u);
}

}  // namespace
}  // namespace skep::worker
