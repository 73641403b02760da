// SPDX-License-Identifier: Apache-2.0
#include "sim/disk.h"

#include "sim/world.h"

namespace skep::sim {

using store::EraseTask;
using store::PutTask;
using store::ShardBatch;
using store::Sync;

Disk::Disk(World& world) : world_(world), tables_(world.config.shards), replica_(world.config.shards) {}

Instant Disk::store_now() const {
  return world_.store_now();
}

bool Disk::is_full() const {
  return world_.now() < full_until_;
}

Result<void> Disk::write(std::vector<ShardBatch> batches, Sync sync, store::MemberId writer) {
  const Breakage breakage = world_.config.breakage;
  if (breakage == Breakage::kStaleLoad && world_.now() - replica_at_ > milliseconds(500)) {
    replica_ = tables_;
    replica_at_ = world_.now();
  }
  if (breakage == Breakage::kSkipCommit && sync == Sync::kDurable && world_.random.chance(0.02)) return ok();
  std::vector<Epoch> epochs;
  for (auto& batch : batches) {
    epochs.push_back(batch.epoch);
    if (breakage == Breakage::kSkipFence) batch.epoch = tables_.epoch(batch.shard);
  }
  spoil(batches);
  auto written = tables_.apply(batches, sync);
  if (!written) {
    world_.event(written.error().code == Code::kFenced ? "commit fenced" : "commit failed");
    return written;
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    world_.tell([&](Checker& checker) { checker.on_batch(batches[i].shard, epochs[i], writer); });
    tell(batches[i]);
  }
  return ok();
}

// The breakages of what is stored.
void Disk::spoil(std::vector<ShardBatch>& batches) const {
  const Breakage breakage = world_.config.breakage;
  if (breakage == Breakage::kNone) return;
  for (auto& batch : batches) {
    for (auto& mutation : batch.mutations) {
      auto* put = std::get_if<PutTask>(&mutation);
      if (put == nullptr) continue;
      if (breakage == Breakage::kDeliverTwice) put->record->delivered_at = kNoInstant;
      if (breakage == Breakage::kForgetKey) put->record->spec.idempotency_key.clear();
      if (breakage == Breakage::kForgetFailure) put->record->attempts_failed = 0;
      if (breakage == Breakage::kForgetCheckpoint) put->record->checkpoint.reset();
    }
  }
}

void Disk::tell(const ShardBatch& batch) {
  for (const auto& mutation : batch.mutations) {
    Written written;
    if (const auto* put = std::get_if<PutTask>(&mutation)) {
      const auto found = records_.find(put->record->id);
      const TaskRecord before = found == records_.end() ? TaskRecord{} : found->second;
      if (found != records_.end()) written.before = &before;
      written.after = &*put->record;
      if (put->body) written.body = &put->body;
      if (put->result) written.result = &put->result;
      records_[put->record->id] = *put->record;
      world_.tell([&](Checker& checker) { checker.on_written(written); });
    } else if (const auto* body = std::get_if<store::EraseBody>(&mutation)) {
      const auto found = records_.find(body->id);
      if (found == records_.end()) continue;
      world_.tell([&](Checker& checker) { checker.on_body_erased(found->second); });
    } else if (const auto* erase = std::get_if<EraseTask>(&mutation)) {
      const auto found = records_.find(erase->id);
      if (found == records_.end()) continue;
      const TaskRecord before = found->second;
      records_.erase(found);
      written.before = &before;
      world_.tell([&](Checker& checker) { checker.on_written(written); });
    }
  }
}

Result<Epoch> Disk::claim(ShardId shard) {
  if (is_full()) return fail(Code::kUnavailable, "the disk is full, by script");
  auto epoch = tables_.claim(shard);
  if (epoch) world_.tell([&](Checker& checker) { checker.on_claim(shard, epoch.value()); });
  return epoch;
}

// ---- shared ----

Result<Epoch> Disk::take(store::MemberId member, store::ShardAt seen) {
  auto epoch = tables_.take(member, seen);
  if (!epoch) return epoch;
  owners_[seen.shard] = member;
  world_.unsettle();
  world_.counters.add("shards taken");
  world_.tell([&](Checker& checker) { checker.on_claim(seen.shard, epoch.value()); });
  world_.tell([&](Checker& checker) { checker.on_taken(seen.shard, epoch.value(), member); });
  return epoch;
}

void Disk::release(const std::vector<store::ShardAt>& shards) {
  for (const auto& shard : shards) {
    if (tables_.epoch(shard.shard) != shard.epoch) continue;
    tables_.release({shard});
    owners_[shard.shard] = 0;
    world_.counters.add("shards released");
    world_.tell([&](Checker& checker) { checker.on_claim(shard.shard, tables_.epoch(shard.shard)); });
    world_.tell([&](Checker& checker) { checker.on_taken(shard.shard, tables_.epoch(shard.shard), 0); });
  }
}

void Disk::leave(store::MemberId member) {
  for (const auto& [shard, owner] : owners_) {
    if (owner == member) release({{shard, tables_.epoch(shard)}});
  }
  tables_.leave(member);
}

Result<void> Disk::load(ShardId shard, Epoch epoch, store::RecordSink& sink) const {
  if (world_.config.breakage == Breakage::kStaleLoad && replica_.epoch(shard) > 0)
    return replica_.load(shard, replica_.epoch(shard), sink);
  return tables_.load(shard, epoch, sink);
}

namespace {

class Copier final : public store::RecordSink {
 public:
  explicit Copier(std::map<TaskId, TaskRecord>& records) : records_(records) {}
  void on_queue(QueueRecord) override {}
  void on_task(TaskRecord record) override { records_[record.id] = std::move(record); }

 private:
  std::map<TaskId, TaskRecord>& records_;
};

}  // namespace

void Disk::lose_power() {
  const std::size_t soft = tables_.soft_commits();
  const std::size_t kept = world_.random.below(soft + 1);
  if (kept < soft) world_.counters.add("soft commits lost", soft - kept);
  tables_.crash(kept);
  records_.clear();
  Copier copier(records_);
  for (ShardId shard = 0; shard < tables_.shard_count(); ++shard) {
    if (tables_.epoch(shard) == 0) continue;
    const auto loaded = tables_.load(shard, tables_.epoch(shard), copier);
    SKEP_CHECK(loaded.has_value(), "the memory of the reference store can be read");
  }
  world_.tell([](Checker& checker) { checker.on_rewound(); });
}

}  // namespace skep::sim
