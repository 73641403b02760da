// SPDX-License-Identifier: Apache-2.0
// shard_world.h - a shard with a clock that a test moves, and short names for what tests do to it.
//
// Threads:   one executor at a time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "queue/shard.h"

namespace skep::queue::testing {

inline Blob blob(const std::string& text) {
  return std::make_shared<const std::string>(text);
}

class ShardWorld {
 public:
  explicit ShardWorld(Epoch epoch = 1, ShardOptions options = {})
      : shard(std::make_unique<Shard>(0, epoch, Random(7), std::move(options))) {
    shard->finish_load(now);
  }

  TaskSpec spec(std::uint64_t iterations = 1) const {
    TaskSpec s;
    s.iterations = iterations;
    return s;
  }
  TaskId enqueue(TaskSpec s, const std::string& body = "body") {
    auto reply = shard->apply(Enqueue{{{std::move(s), blob(body)}}}, now, effects);
    EXPECT_TRUE(reply.has_value());
    return reply.value().front().id;
  }
  TaskId enqueue() { return enqueue(spec()); }
  std::vector<LeasedTask> lease(const std::string& worker, std::uint32_t max = 1,
                                Duration duration = seconds(15)) {
    Lease command;
    command.worker = worker;
    command.max = max;
    command.lease = duration;
    command.kinds = {"sha512", "command"};
    command.programs = {"prog"};
    return shard->apply(command, now, effects);
  }
  LeaseToken lease_one(const std::string& worker) {
    auto leased = lease(worker);
    EXPECT_EQ(leased.size(), 1u);
    return leased.empty() ? LeaseToken{} : leased.front().token;
  }
  Result<Completed> complete(const LeaseToken& token, const std::string& result = "r",
                             const std::string& worker = "w") {
    return shard->apply(Complete{worker, token, blob(result)}, now, effects);
  }
  Result<Failed> fail_attempt(const LeaseToken& token, const std::string& message = "broke") {
    return shard->apply(Fail{"w", token, message, false, false}, now, effects);
  }
  void pass(Duration by) {
    now += by;
    shard->tick(now, 1'000'000, effects);
    shard->check_invariants();
  }
  TaskState state(const TaskId& id) const {
    const auto state = shard->state_of(id);
    EXPECT_TRUE(state.has_value());
    return state.value_or(TaskState::kCancelled);
  }
  TaskRecord record(const TaskId& id) const { return *shard->find(id); }

  // The same records in a new shard at the next epoch, as after a crash in which nothing stored was lost.
  // `is_kept` false: that task's record is replaced by what was stored before (given by the caller).
  void restart() {
    std::vector<TaskRecord> records;
    for (const auto& record : shard->list({{}, "", "", {}, 100'000}).tasks) records.push_back(record);
    std::vector<QueueRecord> queues;
    for (const auto& queue : shard->queues()) queues.push_back(queue.settings);
    auto next = std::make_unique<Shard>(shard->id(), shard->epoch() + 1, Random(8), ShardOptions{});
    for (auto& queue : queues) next->load(queue);
    for (auto& record : records) next->load(record);
    next->finish_load(now);
    shard = std::move(next);
    shard->check_invariants();
  }

  Instant now = Instant(seconds(1'000'000));
  Effects effects;
  std::unique_ptr<Shard> shard;
};

}  // namespace skep::queue::testing
