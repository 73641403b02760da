// SPDX-License-Identifier: Apache-2.0
// memory_store.h - store.h over memory_tables.h: the reference engine, for tests and simulation.
//
// A MemoryDisk outlives the stores that are opened on it, as a real disk outlives processes: destroy the
// store (the process ends), crash() the disk if power was lost too, and open the next store on it.
//
// Threads:   as store.h; a MemoryDisk from any thread.
// Errors:    as store.h; after close() every call gives kUnavailable.
// Ownership: stores and sessions share their disk.
#pragma once

#include <memory>

#include "store/memory_tables.h"
#include "store/store.h"
#include "task/store_number.h"

namespace skep::store {

class MemoryDisk {
 public:
  explicit MemoryDisk(ShardId shard_count = 1, StoreNumber number = 0);
  // One that several stores may be open on at a time, whose managers share the shards. The clock, which tells
  // who is silent, must outlive it.
  MemoryDisk(ShardId shard_count, const Clock& clock);
  ~MemoryDisk();
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  // See MemoryTables.
  std::size_t soft_commits() const;
  void crash(std::size_t soft_kept = 0);

 private:
  friend class MemoryStore;
  friend class MemorySession;
  friend class MemoryMembership;
  struct Tables;
  std::unique_ptr<Tables> tables_;
  const Clock* clock_ = nullptr;  // null: not shared
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(ShardId shard_count = 1) : MemoryStore(std::make_shared<MemoryDisk>(shard_count)) {}
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override;
  Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) override;
  bool is_shared() const override { return disk_->clock_ != nullptr; }
  Result<std::unique_ptr<Membership>> join(const std::string& address, Executor& executor) override;
  std::unique_ptr<Session> open_session(Executor& executor) override;
  StoreStats stats() const override;
  Result<void> close() override;

 private:
  std::shared_ptr<MemoryDisk> disk_;
  bool is_closed_ = false;
};

}  // namespace skep::store
