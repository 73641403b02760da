// SPDX-License-Identifier: Apache-2.0
// disk.h - the simulated disk of a cluster: what the store holds, over the lives of its managers. Where they
// share the store it is the database's.
//
// Holds the contents (store/memory_tables.h), a mirror of the records for the checkers to look at, and the
// state of health: full, slow. Every write goes through here, is told to the checkers, and is what the
// breakages of the store change.
//
// Threads:   one executor at a time.
// Errors:    as store.h says.
// Ownership: borrows the world.
#pragma once

#include <map>
#include <vector>

#include "store/memory_tables.h"
#include "store/store.h"

namespace skep::sim {

struct World;

class Disk {
 public:
  explicit Disk(World& world);

  // Writes all or nothing. `writer`: the member of those that share the store, or 0.
  Result<void> write(std::vector<store::ShardBatch> batches, store::Sync sync, store::MemberId writer = 0);
  Result<Epoch> claim(ShardId shard);
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) const;
  std::vector<store::Blob> read(const std::vector<store::BlobKey>& keys) const { return tables_.read(keys); }
  ShardId shard_count() const { return tables_.shard_count(); }

  // ---- where managers share the store: store/membership.h ----
  store::MemberId join(const std::string& address) { return tables_.join(address, store_now()); }
  store::ClusterView beat(store::MemberId member, const std::string& address, bool is_leaving) {
    return tables_.beat(member, address, is_leaving, store_now());
  }
  Result<Epoch> take(store::MemberId member, store::ShardAt seen);
  void release(const std::vector<store::ShardAt>& shards);
  void leave(store::MemberId member);

  // Power is lost: any number of the soft commits is kept, from the oldest.
  void lose_power();
  void fill_until(Instant until) { full_until_ = until; }
  bool is_full() const;

  // What is stored now, durable or not.
  const std::map<TaskId, TaskRecord>& records() const { return records_; }

 private:
  Instant store_now() const;
  void spoil(std::vector<store::ShardBatch>& batches) const;
  void tell(const store::ShardBatch& batch);

  World& world_;
  store::MemoryTables tables_;
  std::map<TaskId, TaskRecord> records_;
  std::map<ShardId, store::MemberId> owners_;
  Instant full_until_{};
  store::MemoryTables replica_;  // a moment behind, for a breakage
  Instant replica_at_{};
};

}  // namespace skep::sim
