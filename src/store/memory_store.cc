// SPDX-License-Identifier: Apache-2.0
#include "store/memory_store.h"

#include "store/store_pool.h"

namespace skep::store {

struct MemoryDisk::Tables : Guarded<MemoryTables> {
  using Guarded::Guarded;
};

MemoryDisk::MemoryDisk(ShardId shard_count, StoreNumber number)
    : tables_(std::make_unique<Tables>(shard_count, number)) {}
MemoryDisk::MemoryDisk(ShardId shard_count, const Clock& clock) : MemoryDisk(shard_count) {
  clock_ = &clock;
}
MemoryDisk::~MemoryDisk() = default;

std::size_t MemoryDisk::soft_commits() const {
  return tables_->with([](const MemoryTables& tables) { return tables.soft_commits(); });
}

void MemoryDisk::crash(std::size_t soft_kept) {
  tables_->with([&](MemoryTables& tables) { tables.crash(soft_kept); });
}

class MemorySession final : public Session {
 public:
  MemorySession(std::shared_ptr<MemoryDisk> disk, Executor& executor)
      : disk_(std::move(disk)), executor_(executor) {}

  void commit(std::vector<ShardBatch> batches, Sync sync, CommitDone done) override {
    auto result = disk_->tables_->with([&](MemoryTables& tables) { return tables.apply(batches, sync); });
    executor_.post(
        [result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  }

  void read(std::vector<BlobKey> keys, ReadDone done) override {
    auto blobs = disk_->tables_->with([&](const MemoryTables& tables) { return tables.read(keys); });
    executor_.post([blobs = std::move(blobs), done = std::move(done)]() mutable { done(std::move(blobs)); });
  }

 private:
  std::shared_ptr<MemoryDisk> disk_;
  Executor& executor_;
};

class MemoryMembership final : public Membership {
 public:
  MemoryMembership(std::shared_ptr<MemoryDisk> disk, std::string address, Executor& executor)
      : disk_(std::move(disk)), address_(std::move(address)), executor_(executor), self_(join()) {}

  MemberId self() const override { return self_; }
  void beat(bool is_leaving, UniqueFunction<void(Result<ClusterView>)> done) override {
    Result<ClusterView> view = disk_->tables_->with(
        [&](MemoryTables& tables) { return tables.beat(self_, address_, is_leaving, disk_->clock_->now()); });
    reply(std::move(done), std::move(view));
  }
  void take(ShardAt seen, MakeSink make_sink, UniqueFunction<void(Result<Epoch>)> done) override {
    reply(std::move(done), take_now(seen, make_sink));
  }
  void release(std::vector<ShardAt> shards, UniqueFunction<void(Result<void>)> done) override {
    disk_->tables_->with([&](MemoryTables& tables) { tables.release(shards); });
    reply(std::move(done), Result<void>(ok()));
  }
  void leave(UniqueFunction<void(Result<void>)> done) override {
    disk_->tables_->with([&](MemoryTables& tables) { tables.leave(self_); });
    reply(std::move(done), Result<void>(ok()));
  }

 private:
  template <class Done, class T>
  void reply(Done done, T result) {
    executor_.post(
        [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
  }
  MemberId join() {
    return disk_->tables_->with(
        [&](MemoryTables& tables) { return tables.join(address_, disk_->clock_->now()); });
  }
  Result<Epoch> take_now(ShardAt seen, MakeSink& make_sink) {
    SKEP_TRY(const Epoch epoch,
             disk_->tables_->with([&](MemoryTables& tables) { return tables.take(self_, seen); }));
    const auto sink = make_sink(epoch);
    const MemoryTables tables = disk_->tables_->with([](const MemoryTables& all) { return all; });
    SKEP_TRY(tables.load(seen.shard, epoch, *sink));
    return epoch;
  }

  std::shared_ptr<MemoryDisk> disk_;
  const std::string address_;
  Executor& executor_;
  const MemberId self_;
};

Result<std::unique_ptr<Membership>> MemoryStore::join(const std::string& address, Executor& executor) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  if (disk_->clock_ == nullptr) return std::unique_ptr<Membership>();
  return std::unique_ptr<Membership>(std::make_unique<MemoryMembership>(disk_, address, executor));
}

Result<Epoch> MemoryStore::claim(ShardId shard) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  return disk_->tables_->with([&](MemoryTables& tables) { return tables.claim(shard); });
}

ShardId MemoryStore::shard_count() const {
  return disk_->tables_->with([](const MemoryTables& tables) { return tables.shard_count(); });
}

Result<void> MemoryStore::load(ShardId shard, Epoch epoch, RecordSink& sink) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  // On a copy, so that no lock is held while the sink runs.
  const MemoryTables tables = disk_->tables_->with([](const MemoryTables& all) { return all; });
  return tables.load(shard, epoch, sink);
}

std::unique_ptr<Session> MemoryStore::open_session(Executor& executor) {
  return std::make_unique<MemorySession>(disk_, executor);
}

StoreStats MemoryStore::stats() const {
  return {"memory", "", 0, 0, "none: a restart loses everything"};
}

Result<void> MemoryStore::close() {
  if (!is_closed_) disk_->tables_->with([](MemoryTables& tables) { tables.make_durable(); });
  is_closed_ = true;
  return ok();
}

}  // namespace skep::store
