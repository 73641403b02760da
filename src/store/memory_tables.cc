// SPDX-License-Identifier: Apache-2.0
#include "store/memory_tables.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace skep::store {
namespace {

constexpr Duration kShownSilence = hours(1);  // a member that was silent for longer is not shown

}  // namespace

Error no_such_shard(ShardId shard, ShardId shard_count) {
  return fail(Code::kInvalid, "there is no shard " + std::to_string(shard) + ": the store was made with " +
                                  std::to_string(shard_count));
}

Error fenced(ShardId shard, Epoch tried, Epoch current) {
  return fail(Code::kFenced, "shard " + std::to_string(shard) + " has an owner with epoch " +
                                 std::to_string(current) + "; epoch " + std::to_string(tried) +
                                 " may not use it");
}

MemoryTables::MemoryTables(ShardId shard_count, StoreNumber number)
    : number_(number), epochs_(shard_count, 0), owners_(shard_count, 0) {
  SKEP_CHECK(shard_count > 0, "a store has at least one shard");
}

Epoch MemoryTables::epoch(ShardId shard) const {
  return shard < epochs_.size() ? epochs_[shard] : 0;
}

Result<Epoch> MemoryTables::claim(ShardId shard) {
  if (shard >= epochs_.size()) return no_such_shard(shard, shard_count());
  SKEP_CHECK(epochs_[shard] < std::numeric_limits<Epoch>::max(), "epochs of a shard are used up");
  make_durable();
  owners_[shard] = 0;
  return epochs_[shard] = next_epoch(epochs_[shard], number_);
}

// ---- members ----

MemberId MemoryTables::join(const std::string& address, Instant now) {
  members_[next_member_] = {address, false, now};
  return next_member_++;
}

ClusterView MemoryTables::beat(MemberId member, const std::string& address, bool is_leaving, Instant now) {
  members_[member] = {address, is_leaving, now};
  ClusterView view;
  for (const auto& [id, row] : members_) {
    if (now - row.beat_at < kShownSilence)
      view.members.push_back({id, row.address, row.is_leaving, now - row.beat_at});
  }
  for (ShardId shard = 0; shard < shard_count(); ++shard)
    view.shards.push_back({epochs_[shard], owners_[shard]});
  return view;
}

Result<Epoch> MemoryTables::take(MemberId member, ShardAt seen) {
  if (seen.shard >= epochs_.size()) return no_such_shard(seen.shard, shard_count());
  if (epochs_[seen.shard] != seen.epoch) return fenced(seen.shard, seen.epoch, epochs_[seen.shard]);
  SKEP_TRY(const Epoch epoch, claim(seen.shard));
  owners_[seen.shard] = member;
  return epoch;
}

void MemoryTables::release(const std::vector<ShardAt>& shards) {
  for (const auto& shard : shards) {
    if (shard.shard >= epochs_.size() || epochs_[shard.shard] != shard.epoch) continue;
    ++epochs_[shard.shard];
    owners_[shard.shard] = 0;
  }
}

void MemoryTables::leave(MemberId member) {
  for (ShardId shard = 0; shard < shard_count(); ++shard) {
    if (owners_[shard] == member) release({{shard, epochs_[shard]}});
  }
  members_.erase(member);
}

// ---- records ----

Result<void> MemoryTables::load(ShardId shard, Epoch epoch, RecordSink& sink) const {
  if (shard >= epochs_.size()) return no_such_shard(shard, shard_count());
  if (epoch != epochs_[shard] || epoch == 0) return fenced(shard, epoch, epochs_[shard]);
  for (auto at = queues_.lower_bound({shard, {}}); at != queues_.end() && at->first.first == shard; ++at) {
    sink.on_queue(at->second);
  }
  for (auto at = tasks_.lower_bound(TaskId{shard, 0, 0}); at != tasks_.end() && at->first.shard == shard;
       ++at) {
    sink.on_task(at->second.record);
  }
  return ok();
}

Result<void> MemoryTables::check_fences(const std::vector<ShardBatch>& batches) const {
  for (const auto& batch : batches) {
    if (batch.shard >= epochs_.size()) return no_such_shard(batch.shard, shard_count());
    const Epoch current = epochs_[batch.shard];
    if (batch.epoch != current || current == 0) return fenced(batch.shard, batch.epoch, current);
  }
  return ok();
}

Result<void> MemoryTables::apply(const std::vector<ShardBatch>& batches, Sync sync) {
  SKEP_TRY(check_fences(batches));
  if (sync == Sync::kDurable) make_durable();
  std::vector<Undo>* undo = sync == Sync::kSoft ? &soft_.emplace_back() : nullptr;
  for (const auto& batch : batches) {
    for (const auto& mutation : batch.mutations) {
      if (const auto* queue = std::get_if<PutQueue>(&mutation)) {
        put_queue(batch.shard, queue->record, undo);
        continue;
      }
      const auto* put = std::get_if<PutTask>(&mutation);
      const auto* body = std::get_if<EraseBody>(&mutation);
      const TaskId id = put != nullptr    ? put->record->id
                        : body != nullptr ? body->id
                                          : std::get<EraseTask>(mutation).id;
      SKEP_CHECK(id.shard == batch.shard, "a shard's batch holds changes of its own tasks only");
      if (put != nullptr) {
        put_task(*put, undo);
      } else if (body != nullptr) {
        erase_body(id, undo);
      } else {
        erase_task(id, undo);
      }
    }
  }
  return ok();
}

void MemoryTables::put_queue(ShardId shard, const QueueRecord& record, std::vector<Undo>* undo) {
  const QueueKey key{shard, record.name};
  const auto found = queues_.find(key);
  if (undo != nullptr) {
    undo->push_back(OldQueue{key, found == queues_.end() ? std::nullopt : std::optional(found->second)});
  }
  queues_[key] = record;
}

void MemoryTables::put_task(const PutTask& put, std::vector<Undo>* undo) {
  const auto [at, is_new] = tasks_.try_emplace(put.record->id);
  Row& row = at->second;
  if (undo != nullptr) undo->push_back(OldRow{put.record->id, is_new ? std::nullopt : std::optional(row)});
  row.record = *put.record;
  if (put.body) row.body = put.body;
  if (put.result) row.result = put.result;
}

void MemoryTables::erase_body(const TaskId& id, std::vector<Undo>* undo) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;
  if (undo != nullptr) undo->push_back(OldRow{id, found->second});
  found->second.body = nullptr;
}

void MemoryTables::erase_task(const TaskId& id, std::vector<Undo>* undo) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;
  if (undo != nullptr) undo->push_back(OldRow{id, found->second});
  tasks_.erase(found);
}

std::vector<Blob> MemoryTables::read(const std::vector<BlobKey>& keys) const {
  std::vector<Blob> blobs;
  blobs.reserve(keys.size());
  for (const auto& key : keys) {
    const auto found = tasks_.find(key.task);
    const bool is_body = key.kind == BlobKind::kBody;
    blobs.push_back(found == tasks_.end() ? nullptr : is_body ? found->second.body : found->second.result);
  }
  return blobs;
}

void MemoryTables::take_back(Undo step) {
  if (auto* row = std::get_if<OldRow>(&step)) {
    if (row->row) {
      tasks_[row->id] = std::move(*row->row);
    } else {
      tasks_.erase(row->id);
    }
    return;
  }
  auto& queue = std::get<OldQueue>(step);
  if (queue.record) {
    queues_[queue.key] = std::move(*queue.record);
  } else {
    queues_.erase(queue.key);
  }
}

void MemoryTables::crash(std::size_t soft_kept) {
  while (soft_.size() > soft_kept) {
    auto steps = std::move(soft_.back());
    soft_.pop_back();
    std::for_each(steps.rbegin(), steps.rend(), [this](Undo& step) { take_back(std::move(step)); });
  }
  make_durable();
}

}  // namespace skep::store
