// SPDX-License-Identifier: Apache-2.0
// store_pool.h - the threads and the lock of the engines; nothing else in this folder has any.
//
// Blocking libraries run on a WorkThread, so that no executor ever waits for a disk. State that several
// threads of an engine share lies in a Guarded.
//
// Threads:   any thread.
// Ownership: a WorkThread owns its thread and what was posted to it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/function.h"
#include "base/mutex.h"
#include "store/store.h"

namespace skep::store {

// A value behind a lock. The lock is held while `use` runs, so `use` is short and calls nothing foreign.
template <class T>
class Guarded {
 public:
  template <class... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  template <class Use>
  auto with(Use use) {
    MutexLock lock(mutex_);
    return use(value_);
  }
  template <class Use>
  auto with(Use use) const {
    MutexLock lock(mutex_);
    return use(std::as_const(value_));
  }

 private:
  mutable Mutex mutex_;
  T value_ SKEP_GUARDED_BY(mutex_);
};

// One thread that runs what is posted to it, in order.
class WorkThread {
 public:
  explicit WorkThread(std::string name);
  // Runs what is posted already, then ends.
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  void post(UniqueFunction<void()> work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The session of an engine whose calls block: `Work` commits on one thread and reads on another. It has
//   Result<void> commit(const std::vector<ShardBatch>&, Sync)
//   Result<std::vector<Blob>> read(const std::vector<BlobKey>&)
//   void after_commit(): what can wait until the reply is on its way, on the thread of commits
template <class Work>
class ThreadedSession final : public Session {
 public:
  template <class... Args>
  explicit ThreadedSession(Executor& executor, Args&&... args)
      : executor_(executor),
        work_(std::forward<Args>(args)...),
        committer_("skep-commit"),
        reader_("skep-read") {}

  void commit(std::vector<ShardBatch> batches, Sync sync, CommitDone done) override {
    committer_.post([this, batches = std::move(batches), sync, done = std::move(done)]() mutable {
      auto result = work_.commit(batches, sync);
      batches.clear();  // bodies go before the reply, not when the executor gets to it
      reply(std::move(result), std::move(done));
      work_.after_commit();
    });
  }

  void read(std::vector<BlobKey> keys, ReadDone done) override {
    reader_.post([this, keys = std::move(keys), done = std::move(done)]() mutable {
      reply(work_.read(keys), std::move(done));
    });
  }

 private:
  template <class Reply, class Done>
  void reply(Reply result, Done done) {
    executor_.post(
        [result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  }

  Executor& executor_;
  Work work_;
  WorkThread committer_;  // after `work_`: they end first
  WorkThread reader_;
};

// Which epoch may write to each shard. A commit stands between enter() and leave(); after raise() no commit
// of an older epoch is under way or can begin, so what is loaded then is final.
class ShardFence {
 public:
  explicit ShardFence(ShardId shard_count);

  // kFenced, kInvalid: the commit must not begin, and there is nothing to leave.
  Result<void> enter(const std::vector<ShardBatch>& batches);
  void leave(const std::vector<ShardBatch>& batches);
  // Waits for the commits that are under way. Success: the epoch that may write from now on. The new one is
  // at least `min`. kCorrupt: epochs are used up.
  Result<Epoch> raise(ShardId shard, Epoch min = 1);
  // Raises every shard that has an owner, without waiting: their owners must claim and load again.
  void revoke_all();
  // kFenced if `epoch` may not write to `shard`, kInvalid if there is no such shard.
  Result<void> check(ShardId shard, Epoch epoch) const;

 private:
  struct Shard {
    Epoch epoch = 0;
    std::size_t under_way = 0;
  };
  Result<void> check_locked(ShardId shard, Epoch epoch) const SKEP_REQUIRES(mutex_);

  mutable Mutex mutex_;
  Condition left_;
  std::vector<Shard> shards_ SKEP_GUARDED_BY(mutex_);
};

// Lets any number through, or one that closed it and is alone inside.
class Gate {
 public:
  void enter();  // waits while it is closed
  void leave();
  void close();  // waits until it is alone
  void open();

 private:
  Mutex mutex_;
  Condition changed_;
  std::size_t inside_ SKEP_GUARDED_BY(mutex_) = 0;
  bool is_closed_ SKEP_GUARDED_BY(mutex_) = false;
};

}  // namespace skep::store
