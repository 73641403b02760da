// SPDX-License-Identifier: Apache-2.0
#include "store/store_pool.h"

#include <pthread.h>

#include <limits>
#include <thread>

#include "store/memory_tables.h"

namespace skep::store {

// ---- WorkThread ----

struct WorkThread::Impl {
  void run();

  Mutex mutex;
  Condition posted;
  std::vector<UniqueFunction<void()>> queue SKEP_GUARDED_BY(mutex);
  bool is_stopping SKEP_GUARDED_BY(mutex) = false;
  std::thread thread;
};

void WorkThread::Impl::run() {
  for (;;) {
    std::vector<UniqueFunction<void()>> work;
    {
      MutexLock lock(mutex);
      while (queue.empty() && !is_stopping) posted.wait(mutex);
      if (queue.empty()) return;
      work.swap(queue);
    }
    for (auto& item : work) {
      item();
      item = nullptr;  // what it holds goes now, not when the whole list is done
    }
  }
}

WorkThread::WorkThread(std::string name) : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([impl = impl_.get(), name = std::move(name)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    impl->run();
  });
}

WorkThread::~WorkThread() {
  {
    MutexLock lock(impl_->mutex);
    impl_->is_stopping = true;
  }
  impl_->posted.notify_one();
  impl_->thread.join();
}

void WorkThread::post(UniqueFunction<void()> work) {
  {
    MutexLock lock(impl_->mutex);
    impl_->queue.push_back(std::move(work));
  }
  impl_->posted.notify_one();
}

// ---- ShardFence ----

ShardFence::ShardFence(ShardId shard_count) : shards_(shard_count) {}

Result<void> ShardFence::check_locked(ShardId shard, Epoch epoch) const {
  if (shard >= shards_.size()) return no_such_shard(shard, static_cast<ShardId>(shards_.size()));
  const Epoch current = shards_[shard].epoch;
  if (epoch != current || current == 0) return fenced(shard, epoch, current);
  return ok();
}

Result<void> ShardFence::check(ShardId shard, Epoch epoch) const {
  MutexLock lock(mutex_);
  return check_locked(shard, epoch);
}

Result<void> ShardFence::enter(const std::vector<ShardBatch>& batches) {
  MutexLock lock(mutex_);
  for (const auto& batch : batches) {
    SKEP_TRY(check_locked(batch.shard, batch.epoch));
  }
  for (const auto& batch : batches) ++shards_[batch.shard].under_way;
  return ok();
}

void ShardFence::leave(const std::vector<ShardBatch>& batches) {
  {
    MutexLock lock(mutex_);
    for (const auto& batch : batches) --shards_[batch.shard].under_way;
  }
  left_.notify_all();
}

Result<Epoch> ShardFence::raise(ShardId shard, Epoch min) {
  MutexLock lock(mutex_);
  if (shard >= shards_.size()) return no_such_shard(shard, static_cast<ShardId>(shards_.size()));
  const Epoch current = shards_[shard].epoch;
  if (current == std::numeric_limits<Epoch>::max()) {
    return fail(Code::kCorrupt, "the epochs of shard " + std::to_string(shard) + " are used up");
  }
  const Epoch raised = current + 1 > min ? current + 1 : min;
  shards_[shard].epoch = raised;
  while (shards_[shard].under_way > 0) left_.wait(mutex_);
  return raised;
}

void ShardFence::revoke_all() {
  MutexLock lock(mutex_);
  for (auto& shard : shards_) {
    if (shard.epoch > 0 && shard.epoch < std::numeric_limits<Epoch>::max()) ++shard.epoch;
  }
}

// ---- Gate ----

void Gate::enter() {
  MutexLock lock(mutex_);
  while (is_closed_) changed_.wait(mutex_);
  ++inside_;
}

void Gate::leave() {
  {
    MutexLock lock(mutex_);
    --inside_;
  }
  changed_.notify_all();
}

void Gate::close() {
  MutexLock lock(mutex_);
  while (is_closed_) changed_.wait(mutex_);
  is_closed_ = true;
  while (inside_ > 0) changed_.wait(mutex_);
}

void Gate::open() {
  {
    MutexLock lock(mutex_);
    is_closed_ = false;
  }
  changed_.notify_all();
}

}  // namespace skep::store
