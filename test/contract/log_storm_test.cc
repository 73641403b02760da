// SPDX-License-Identifier: Apache-2.0
// Goal: the log engine keeps its word through any mixture of faults. Method: random commits over a disk that
// fails in all its ways, loses its power, is closed cleanly or not; after each the store must hold the state
// after one of the commits, none before the last that was durable, none that was refused, and hold it whole.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "driver.h"
#include "engines.h"
#include "history.h"
#include "store/log_store.h"
#include "store/testing/faulty_segment_disk.h"

namespace skep::contract {
namespace {

using store::testing::FaultySegmentDisk;
using Fault = FaultySegmentDisk::Fault;

constexpr std::uint64_t kSegmentBytes = 1 << 13;
constexpr ShardId kShards = 2;

// All that a store should hold.
struct State {
  std::map<TaskId, TaskRecord> tasks;
  std::map<store::BlobKey, std::string> blobs;
  std::map<std::pair<ShardId, std::string>, QueueRecord> queues;

  void apply(const std::vector<store::ShardBatch>& batches) {
    for (const auto& batch : batches) {
      for (const auto& mutation : batch.mutations) apply(batch.shard, mutation);
    }
  }
  void apply(ShardId shard, const store::Mutation& mutation) {
    if (const auto* queue = std::get_if<store::PutQueue>(&mutation)) {
      queues[{shard, queue->record.name}] = queue->record;
    } else if (const auto* put = std::get_if<store::PutTask>(&mutation)) {
      tasks[put->record->id] = *put->record;
      if (put->body) blobs[{store::BlobKind::kBody, put->record->id}] = *put->body;
      if (put->result) blobs[{store::BlobKind::kResult, put->record->id}] = *put->result;
    } else if (const auto* body = std::get_if<store::EraseBody>(&mutation)) {
      blobs.erase({store::BlobKind::kBody, body->id});
    } else {
      const TaskId id = std::get<store::EraseTask>(mutation).id;
      tasks.erase(id);
      blobs.erase({store::BlobKind::kBody, id});
      blobs.erase({store::BlobKind::kResult, id});
    }
  }
  Contents contents() const {
    Contents all;
    for (const auto& [key, queue] : queues) all.queues.push_back(queue);
    for (const auto& [id, task] : tasks) all.tasks.push_back(task);
    for (const auto& [key, blob] : blobs) {
      if (tasks.contains(key.task)) all.blobs[key] = blob;
    }
    return all;
  }
};

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : random_(seed), history_(seed, kShards) {}

  void run(int steps) {
    states_[0] = {};
    ASSERT_TRUE(open_calmly());
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
    if (!::testing::Test::HasFailure()) leave();
  }

 private:
  Result<void> open() {
    store::LogOptions options;
    options.directory = path_;
    options.shard_count = kShards;
    options.segment_bytes = kSegmentBytes;
    options.slack_bytes = random_.below(5) * kSegmentBytes;
    options.disk = disk_->disk();
    SKEP_TRY(store_, store::open_log(options, Logger()));
    driver_ = std::make_unique<Driver>(*store_);
    return ok();
  }
  void leave() {
    driver_.reset();
    store_.reset();
  }
  bool is_off() const { return off_at_ != 0 && disk_->operations() >= off_at_; }
  // With a disk that works.
  bool open_calmly() {
    leave();
    off_at_ = 0;
    disk_ = std::make_unique<FaultySegmentDisk>();
    const auto opened = open();
    EXPECT_TRUE(opened) << opened.error().message;
    return opened && check();
  }
  // Claims, and holds what is there against what should be.
  bool check() {
    disk_->set_fault(Fault::kNone);
    const auto claimed = driver_->claim_all();
    EXPECT_TRUE(claimed || is_off()) << claimed.error().message;
    if (!claimed) return false;
    epochs_ = claimed.value();
    const auto all = driver_->contents(epochs_);
    EXPECT_TRUE(all) << all.error().message;
    if (!all) return false;
    std::uint64_t found = 0;
    for (const auto& queue : all.value().queues) {
      if (queue.name == "counter") found = queue.depth_max;
    }
    EXPECT_GE(found, durable_);
    EXPECT_TRUE(states_.contains(found)) << "commit " << found << " was refused";
    if (found < durable_ || !states_.contains(found)) return false;
    EXPECT_TRUE(all.value() == states_.at(found).contents())
        << "found " << describe(all.value()) << "\nnot " << describe(states_.at(found).contents());
    // What a claim found is durable.
    durable_ = found;
    const State kept = states_.at(found);
    states_.clear();
    states_[found] = kept;
    return !::testing::Test::HasFailure();
  }
  void commit() {
    auto batches = history_.next(epochs_);
    const auto sync = random_.chance(0.6) ? store::Sync::kDurable : store::Sync::kSoft;
    QueueRecord counter;
    counter.name = "counter";
    counter.depth_max = ++number_;
    store::ShardBatch mark{0, epochs_[0], {}};
    mark.mutations.emplace_back(store::PutQueue{counter});
    if (random_.chance(0.3)) {
      TaskRecord large;
      large.id = {0, 1, 100 + random_.below(6)};
      mark.mutations.emplace_back(store::PutTask{
          large,
          std::make_shared<const std::string>(random_.below(random_.chance(0.1) ? 12'000 : 3'000), 'l'),
          nullptr});
    }
    batches.push_back(mark);
    State next = states_.rbegin()->second;
    next.apply(batches);
    const auto done = driver_->commit(batches, sync);
    if (done || done.error().code == Code::kUnknownOutcome) states_[number_] = std::move(next);
    if (done && sync == store::Sync::kDurable) durable_ = number_;
    if (!done) after_failure();
  }
  void after_failure() {
    if (is_off()) return restart(true);
    // A manager claims until it can.
    for (int i = 0; i < 3; ++i) {
      if (random_.chance(0.5)) disk_->set_fault(Fault::kNone);
      if (driver_->claim_all()) break;
      if (is_off() || random_.chance(0.1)) return restart(is_off() || random_.chance(0.5));
    }
    if (is_off()) return restart(true);
    if (!check() && is_off()) restart(true);
  }
  void restart(bool is_power_lost) {
    leave();
    if (is_power_lost) disk_->power_off();
    if (is_power_lost) disk_->lose_unsynced(random_);
    off_at_ = 0;
    for (std::uint64_t tries = random_.below(3); tries > 0; --tries) {
      disk_ = std::make_unique<FaultySegmentDisk>();
      disk_->power_off_before(1 + random_.below(12));
      if (open()) (void)driver_->claim_all();
      leave();
      disk_->lose_unsynced(random_);
    }
    (void)open_calmly();
  }
  void step() {
    const auto dice = random_.below(1'000);
    if (dice < 20) {
      constexpr Fault kFaults[] = {Fault::kWriteFull, Fault::kAllocateFull, Fault::kSync,
                                   Fault::kDirectorySync};
      disk_->set_fault(kFaults[random_.below(4)]);
    } else if (dice < 40) {
      disk_->set_fault(Fault::kNone);
    } else if (dice < 50 && off_at_ == 0) {
      off_at_ = disk_->operations() + 1 + random_.below(30);
      disk_->power_off_before(off_at_);
    } else if (dice < 53) {
      restart(true);
    } else if (dice < 58) {
      restart(false);
    } else if (dice < 62) {
      driver_.reset();
      disk_->set_fault(Fault::kNone);
      const auto closed = store_->close();
      EXPECT_TRUE(closed || closed.error().code != Code::kCorrupt) << closed.error().message;
      if (is_off()) return restart(true);
      (void)open_calmly();
    } else {
      commit();
    }
  }

  Random random_;
  History history_;
  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/store";
  std::unique_ptr<FaultySegmentDisk> disk_ = std::make_unique<FaultySegmentDisk>();
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Driver> driver_;
  std::vector<Epoch> epochs_;
  std::map<std::uint64_t, State> states_;  // after each commit that may be the last one
  std::uint64_t number_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t off_at_ = 0;  // the operation before which the power goes
};

TEST(LogStorm, WhatWasSaidHoldsThroughAnyMixtureOfFaults) {
  const char* from = std::getenv("SKEP_STORM_FROM");
  const char* count = std::getenv("SKEP_STORM_SEEDS");
  const std::uint64_t first = from != nullptr ? std::strtoull(from, nullptr, 10) : 1;
  const std::uint64_t seeds = count != nullptr ? std::strtoull(count, nullptr, 10) : 10;
  for (std::uint64_t seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm(seed).run(400);
  }
}

}  // namespace
}  // namespace skep::contract
