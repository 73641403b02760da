// SPDX-License-Identifier: Apache-2.0
// driver.h - a session whose calls wait for their reply, for tests that go step by step.
//
// Threads:   the test's thread; the session's executor is a runner of its own.
#pragma once

#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/runner.h"
#include "contents.h"
#include "store/store.h"

namespace skep::contract {

class Driver {
 public:
  explicit Driver(store::Store& store)
      : store_(store), runner_(clock_, "test"), session_(store.open_session(runner_)) {}

  // Begins a commit; the future has its result.
  std::future<Result<void>> begin_commit(std::vector<store::ShardBatch> batches, store::Sync sync) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    auto future = promise->get_future();
    session_->commit(std::move(batches), sync,
                     [promise](Result<void> result) { promise->set_value(std::move(result)); });
    return future;
  }
  Result<void> commit(std::vector<store::ShardBatch> batches, store::Sync sync = store::Sync::kDurable) {
    return begin_commit(std::move(batches), sync).get();
  }
  Result<std::vector<store::Blob>> read(std::vector<store::BlobKey> keys) {
    auto promise = std::make_shared<std::promise<Result<std::vector<store::Blob>>>>();
    auto future = promise->get_future();
    session_->read(std::move(keys), [promise](auto result) { promise->set_value(std::move(result)); });
    return future.get();
  }

  // Claims every shard. Success: the epochs.
  Result<std::vector<Epoch>> claim_all() {
    std::vector<Epoch> epochs;
    for (ShardId shard = 0; shard < store_.shard_count(); ++shard) {
      SKEP_TRY(const Epoch epoch, store_.claim(shard));
      epochs.push_back(epoch);
    }
    return epochs;
  }
  // All that the store holds of the shards with these epochs.
  Result<Contents> contents(const std::vector<Epoch>& epochs) {
    Contents all;
    for (ShardId shard = 0; shard < epochs.size(); ++shard) {
      SKEP_TRY(store_.load(shard, epochs[shard], all));
    }
    const auto keys = all.blob_keys();
    SKEP_TRY(const auto blobs, read(keys));
    all.take_blobs(keys, blobs);
    return all;
  }

  store::Session& session() { return *session_; }
  Runner& runner() { return runner_; }
  // Ends the session; its replies still come.
  void end_session() { session_.reset(); }

 private:
  store::Store& store_;
  SystemClock clock_;
  Runner runner_;
  std::unique_ptr<store::Session> session_;
};

}  // namespace skep::contract
