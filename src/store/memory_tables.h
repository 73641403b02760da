// SPDX-License-Identifier: Apache-2.0
// memory_tables.h - a store's contents and rules, without disk, thread or session: the reference of store.h.
//
// Deterministic: what it holds depends only on the calls made. memory_store.h puts the interface over it; the
// simulator wraps it directly, with its own delays and faults. Every operation is given back before it was
// durable (Sync::kSoft) or after; crash() plays what a power loss may leave of the former.
//
// Threads:   value; one executor at a time.
// Errors:    as store.h says at each call, and kInvalid for a shard that does not exist.
// Ownership: owns the records, shares the blobs.
// Cost:      O(log n) a mutation; what undoes a soft commit is kept until the next durable one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "store/store.h"
#include "task/store_number.h"

namespace skep::store {

class MemoryTables {
 public:
  explicit MemoryTables(ShardId shard_count = 1, StoreNumber number = 0);

  ShardId shard_count() const { return static_cast<ShardId>(epochs_.size()); }
  // The epoch of `shard` now; 0 if nobody has claimed it or it does not exist.
  Epoch epoch(ShardId shard) const;

  Result<Epoch> claim(ShardId shard);
  Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) const;

  // As membership.h has it. `now`: by the clock of the store.
  MemberId join(const std::string& address, Instant now);
  ClusterView beat(MemberId member, const std::string& address, bool is_leaving, Instant now);
  Result<Epoch> take(MemberId member, ShardAt seen);
  void release(const std::vector<ShardAt>& shards);
  void leave(MemberId member);
  Result<void> apply(const std::vector<ShardBatch>& batches, Sync sync);
  std::vector<Blob> read(const std::vector<BlobKey>& keys) const;

  // Makes all that was applied durable, as a durable commit would.
  void make_durable() { soft_.clear(); }
  // Soft commits that no durable one followed.
  std::size_t soft_commits() const { return soft_.size(); }
  // The state after a crash that only the first `soft_kept` of them survived.
  void crash(std::size_t soft_kept = 0);

  std::size_t task_count() const { return tasks_.size(); }

 private:
  struct Row {
    TaskRecord record;
    Blob body;
    Blob result;
  };
  using QueueKey = std::pair<ShardId, std::string>;
  // What was there before a mutation; nothing if the key was free.
  struct OldRow {
    TaskId id;
    std::optional<Row> row;
  };
  struct OldQueue {
    QueueKey key;
    std::optional<QueueRecord> record;
  };
  using Undo = std::variant<OldRow, OldQueue>;

  Result<void> check_fences(const std::vector<ShardBatch>& batches) const;
  // Adds what was there before to `undo`, if given.
  void put_queue(ShardId shard, const QueueRecord& record, std::vector<Undo>* undo);
  void put_task(const PutTask& put, std::vector<Undo>* undo);
  void erase_body(const TaskId& id, std::vector<Undo>* undo);
  void erase_task(const TaskId& id, std::vector<Undo>* undo);
  void take_back(Undo step);

  struct MemberRow {
    std::string address;
    bool is_leaving = false;
    Instant beat_at{};
  };

  StoreNumber number_ = 0;        // of its epochs
  std::vector<Epoch> epochs_;     // by shard
  std::vector<MemberId> owners_;  // by shard; 0 is nobody
  std::map<MemberId, MemberRow> members_;
  MemberId next_member_ = 1;
  std::map<TaskId, Row> tasks_;
  std::map<QueueKey, QueueRecord> queues_;
  std::vector<std::vector<Undo>> soft_;  // by commit, the oldest first
};

// The errors that every engine words alike.
Error no_such_shard(ShardId shard, ShardId shard_count);
Error fenced(ShardId shard, Epoch tried, Epoch current);

}  // namespace skep::store
