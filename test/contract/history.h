// SPDX-License-Identifier: Apache-2.0
// history.h - commits drawn from a seed, for a store and its oracle alike.
//
// Threads:   value.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/store.h"
#include "task/testing/arbitrary_record.h"

namespace skep::contract {

class History {
 public:
  History(std::uint64_t seed, ShardId shard_count) : random_(seed), shard_count_(shard_count) {}

  // The next commit; its batches' epochs are those of `epochs`, by shard.
  std::vector<store::ShardBatch> next(const std::vector<Epoch>& epochs) {
    std::vector<store::ShardBatch> batches;
    const std::size_t count = 1 + random_.below(shard_count_);
    for (std::size_t i = 0; i < count; ++i) {
      const auto shard = static_cast<ShardId>(random_.below(shard_count_));
      store::ShardBatch batch{shard, epochs[shard], {}};
      const std::size_t mutations = random_.below(4);
      for (std::size_t j = 0; j < mutations; ++j) batch.mutations.push_back(mutation(shard));
      batches.push_back(std::move(batch));
    }
    return batches;
  }
  store::Sync sync() { return random_.chance(0.5) ? store::Sync::kDurable : store::Sync::kSoft; }
  Random& random() { return random_; }

 private:
  store::Mutation mutation(ShardId shard) {
    const TaskId id{shard, 1 + static_cast<Epoch>(random_.below(2)), random_.below(12)};
    const auto dice = random_.below(10);
    if (dice == 0) {
      QueueRecord queue = testing::any_queue_record(random_);
      queue.name = "queue-" + std::to_string(random_.below(3));
      return store::PutQueue{queue};
    }
    if (dice <= 2) return store::EraseTask{id};
    if (dice == 3) return store::EraseBody{id};
    store::PutTask put;
    put.record = testing::any_task_record(random_);
    put.record->id = id;
    put.body = blob();
    put.result = blob();
    return put;
  }
  store::Blob blob() {
    if (random_.chance(0.5)) return nullptr;
    const std::size_t bytes_max = random_.chance(0.1) ? 60'000 : 600;
    return std::make_shared<const std::string>(testing::any_text(random_, bytes_max));
  }

  Random random_;
  const ShardId shard_count_;
};

}  // namespace skep::contract
