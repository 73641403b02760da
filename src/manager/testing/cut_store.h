// SPDX-License-Identifier: Apache-2.0
// cut_store.h - a store that managers share, in memory, with a membership and commits that may be cut off.
//
// Threads:   one thread.
// Ownership: shares the disk.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "store/memory_store.h"

namespace skep::manager::testing {

// The memory store, with a membership and commits that may be cut off.
class CutStore final : public store::Store {
 public:
  explicit CutStore(std::shared_ptr<store::MemoryDisk> disk) : inner_(std::move(disk)) {}
  Result<Epoch> claim(ShardId shard) override { return inner_.claim(shard); }
  ShardId shard_count() const override { return inner_.shard_count(); }
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) override {
    return inner_.load(shard, epoch, sink);
  }
  bool is_shared() const override { return inner_.is_shared(); }
  Result<std::unique_ptr<store::Membership>> join(const std::string& address, Executor& executor) override;
  std::unique_ptr<store::Session> open_session(Executor& executor) override;
  store::StoreStats stats() const override { return inner_.stats(); }
  Result<void> close() override { return inner_.close(); }

  bool is_cut_off = false;
  std::optional<Error> commit_error;  // of the next commit
  Duration release_lag{};             // from a release to its answer

 private:
  store::MemoryStore inner_;
};

class CutMembership final : public store::Membership {
 public:
  CutMembership(std::unique_ptr<Membership> inner, Executor& executor, const CutStore& store)
      : inner_(std::move(inner)), executor_(executor), store_(store) {}
  store::MemberId self() const override { return inner_->self(); }
  void beat(bool is_leaving, UniqueFunction<void(Result<store::ClusterView>)> done) override {
    if (store_.is_cut_off) return refuse(std::move(done));
    inner_->beat(is_leaving, std::move(done));
  }
  void take(store::ShardAt seen, MakeSink make_sink, UniqueFunction<void(Result<Epoch>)> done) override {
    if (store_.is_cut_off) return refuse(std::move(done));
    inner_->take(seen, std::move(make_sink), std::move(done));
  }
  void release(std::vector<store::ShardAt> shards, UniqueFunction<void(Result<void>)> done) override {
    if (store_.is_cut_off) return refuse(std::move(done));
    inner_->release(std::move(shards), [&executor = executor_, lag = store_.release_lag,
                                        done = std::move(done)](Result<void> released) mutable {
      executor.post_at(
          executor.now() + lag,
          [done = std::move(done), released = std::move(released)]() mutable { done(std::move(released)); });
    });
  }
  void leave(UniqueFunction<void(Result<void>)> done) override { inner_->leave(std::move(done)); }

 private:
  template <class Done>
  void refuse(Done done) {
    executor_.post([done = std::move(done)]() mutable { done(fail(Code::kUnavailable, "cut off")); });
  }
  std::unique_ptr<Membership> inner_;
  Executor& executor_;
  const CutStore& store_;
};

class CutSession final : public store::Session {
 public:
  CutSession(std::unique_ptr<store::Session> inner, Executor& executor, CutStore& store)
      : inner_(std::move(inner)), executor_(executor), store_(store) {}
  void commit(std::vector<store::ShardBatch> batches, store::Sync sync, CommitDone done) override {
    if (!store_.commit_error) return inner_->commit(std::move(batches), sync, std::move(done));
    executor_.post([error = *std::exchange(store_.commit_error, {}), done = std::move(done)]() mutable {
      done(std::move(error));
    });
  }
  void read(std::vector<store::BlobKey> keys, ReadDone done) override {
    inner_->read(std::move(keys), std::move(done));
  }

 private:
  std::unique_ptr<store::Session> inner_;
  Executor& executor_;
  CutStore& store_;
};

inline Result<std::unique_ptr<store::Membership>> CutStore::join(const std::string& address,
                                                                 Executor& executor) {
  SKEP_TRY(auto inner, inner_.join(address, executor));
  return std::unique_ptr<store::Membership>(
      std::make_unique<CutMembership>(std::move(inner), executor, *this));
}
inline std::unique_ptr<store::Session> CutStore::open_session(Executor& executor) {
  return std::make_unique<CutSession>(inner_.open_session(executor), executor, *this);
}

}  // namespace skep::manager::testing
