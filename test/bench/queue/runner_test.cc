// SPDX-License-Identifier: Apache-2.0
// Goal: the three phases count and time what was done, and notice a queue that gives back what it was not
// given. Method: a queue in memory as the peer, phases of a few milliseconds, connections that steal from
// each other.
#include "runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <mutex>

namespace skep::bench::queue {
namespace {

struct Shared {
  std::mutex mutex;
  std::deque<std::string> tasks;
  bool is_damaging = false;
};

Shared& shared() {
  static Shared one;  // a Peer is made of plain functions
  return one;
}

class MemoryDriver final : public QueueDriver {
 public:
  void enqueue(std::span<const std::string_view> bodies) override {
    const std::lock_guard lock(shared().mutex);
    for (const auto body : bodies) shared().tasks.emplace_back(body);
  }
  void lease(std::size_t max, BodyViews& out) override {
    const std::lock_guard lock(shared().mutex);
    leased_.clear();
    for (auto& tasks = shared().tasks; leased_.size() < max && !tasks.empty(); tasks.pop_front()) {
      leased_.push_back(tasks.front());
      if (shared().is_damaging) leased_.back().back() ^= 1;
    }
    out.assign(leased_.begin(), leased_.end());
  }
  void complete() override {}

 private:
  std::vector<std::string> leased_;
};

Peer memory_peer(bool is_damaging) {
  shared().is_damaging = is_damaging;
  return {"memory",
          [](const Plan&) -> std::unique_ptr<QueueDriver> { return std::make_unique<MemoryDriver>(); },
          [](const Plan&) { shared().tasks.clear(); },
          [](const Plan&) { return static_cast<std::uint64_t>(shared().tasks.size()); }};
}

Plan short_plan(std::size_t batch) {
  Plan plan;
  plan.body_bytes = 64;
  plan.connections = 4;
  plan.batch = batch;
  plan.time = milliseconds(5);
  return plan;
}

std::vector<PhaseResult> results_of(const Plan& plan) {
  std::vector<PhaseResult> out;
  run_plan(
      memory_peer(false), plan, [](const std::string&) {},
      [&](const PhaseResult& each) { out.push_back(each); });
  return out;
}

TEST(Runner, EachPhaseCountsItsTasksAndRequests) {
  for (const std::size_t batch : {1, 7}) {
    const auto results = results_of(short_plan(batch));
    ASSERT_EQ(results.size(), 3u);
    const auto &cycle = results[0], &enqueue = results[1], &drain = results[2];
    EXPECT_EQ(cycle.phase, "cycle");
    EXPECT_EQ(cycle.tasks, batch * cycle.enqueue.count());
    EXPECT_EQ(cycle.round.count(), cycle.enqueue.count());
    EXPECT_GE(cycle.lease.count(), cycle.enqueue.count());
    EXPECT_EQ(cycle.lease.count(), cycle.complete.count());
    EXPECT_EQ(enqueue.tasks, batch * enqueue.round.count());
    EXPECT_EQ(enqueue.lease.count(), 0u);
    EXPECT_LE(drain.tasks, batch * drain.round.count());
    for (const auto& each : results) EXPECT_GT(each.seconds, 0) << each.phase;
  }
}

TEST(Runner, BodyThatComesBackOtherwiseEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Plan plan = short_plan(1);
  EXPECT_EXIT(run_plan(
                  memory_peer(true), plan, [](const std::string&) {}, [](const PhaseResult&) {}),
              ::testing::ExitedWithCode(1), "other bytes");
}

}  // namespace
}  // namespace skep::bench::queue
