// SPDX-License-Identifier: Apache-2.0
// sim_store.h - the store as one manager's life sees it: the disk behind delays and faults.
//
// A commit takes time. What is under way when the manager is killed is stored or not, whole and in order. A
// manager that stands still may have commits under way that reach the disk only when it goes on. Once another
// manager has opened the same disk, this one may claim nothing more: it has lost the directory.
//
// Threads:   one executor at a time.
// Errors:    as store.h says; all of them occur.
// Ownership: borrows world and process; sessions are told of the end by kill().
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "sim/process.h"
#include "store/store.h"

namespace skep::sim {

struct World;

class SimStore final : public store::Store {
 public:
  SimStore(World& world, std::shared_ptr<Process> process);
  ~SimStore() override;

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override;
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) override;
  std::unique_ptr<store::Session> open_session(Executor& executor) override;
  store::StoreStats stats() const override { return {"simulated", "disk", 0, 0, ""}; }
  Result<void> close() override { return ok(); }

  // The process is gone: what was under way reaches the disk or not.
  void kill();
  // It goes on after it stood still.
  void go_on();
  // Another manager has the directory now.
  void lose_directory() { has_directory_ = false; }

  struct Commit {
    std::vector<store::ShardBatch> batches;
    store::Sync sync = store::Sync::kDurable;
    store::Session::CommitDone done;
    bool is_due = false;
    bool is_answered = false;  // before it was written: a breakage
  };
  struct Queue {
    std::deque<Commit> commits;
  };

 private:
  friend class SimSession;
  void submit(const std::shared_ptr<Queue>& queue, Commit commit);
  void due(const std::shared_ptr<Queue>& queue);
  void work_off(const std::shared_ptr<Queue>& queue);
  void finish(Commit commit);
  Result<void> outcome(Commit& commit);

  World& world_;
  std::shared_ptr<Process> process_;
  std::vector<std::shared_ptr<Queue>> queues_;  // of the sessions
  bool has_directory_ = true;
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace skep::sim
