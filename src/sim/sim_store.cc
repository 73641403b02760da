// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_store.h"

#include "sim/world.h"

namespace skep::sim {

using store::Blob;
using store::Sync;

class SimSession final : public store::Session {
 public:
  SimSession(SimStore& store, std::shared_ptr<SimStore::Queue> queue)
      : store_(store), queue_(std::move(queue)) {}

  void commit(std::vector<store::ShardBatch> batches, Sync sync, CommitDone done) override {
    store_.submit(queue_, {std::move(batches), sync, std::move(done), false, false});
  }

  void read(std::vector<store::BlobKey> keys, ReadDone done) override {
    World& world = store_.world_;
    world.counters.add("blobs read from the disk", keys.size());
    const Duration takes = microseconds(100) + world.up_to(milliseconds(4));
    store_.process_->post_at(world.now() + takes,
                             [&world, keys = std::move(keys), done = std::move(done)]() mutable {
                               if (world.random.chance(world.faults.read_refused)) {
                                 world.event("read refused");
                                 done(fail(Code::kUnavailable, "the disk does not read, by script"));
                                 return;
                               }
                               done(world.disk.read(keys));
                             });
  }

 private:
  SimStore& store_;
  std::shared_ptr<SimStore::Queue> queue_;
};

SimStore::SimStore(World& world, std::shared_ptr<Process> process)
    : world_(world), process_(std::move(process)) {}

SimStore::~SimStore() = default;

Result<Epoch> SimStore::claim(ShardId shard) {
  if (!has_directory_) return fail(Code::kUnavailable, "another manager has the directory, by script");
  if (process_->is_dead()) return fail(Code::kUnavailable, "the process is gone");
  if (!world_.is_healed && world_.random.chance(world_.config.crash_in_recovery) && world_.crash) {
    world_.counters.add("manager crashed in recovery");
    world_.crash();
    return fail(Code::kUnavailable, "the process is gone");
  }
  return world_.disk.claim(shard);
}

ShardId SimStore::shard_count() const {
  return world_.disk.shard_count();
}

Result<void> SimStore::load(ShardId shard, Epoch epoch, store::RecordSink& sink) {
  return world_.disk.load(shard, epoch, sink);
}

std::unique_ptr<store::Session> SimStore::open_session(Executor&) {
  queues_.push_back(std::make_shared<Queue>());
  return std::make_unique<SimSession>(*this, queues_.back());
}

void SimStore::submit(const std::shared_ptr<Queue>& queue, Commit commit) {
  if (process_->is_dead()) return;
  Duration takes = commit.sync == Sync::kSoft ? microseconds(20) + world_.up_to(microseconds(200))
                                              : microseconds(500) + world_.up_to(milliseconds(20));
  if (world_.random.chance(world_.faults.commit_slow)) {
    takes += world_.up_to(world_.faults.commit_slow_max);
    world_.event("commit slow");
    if (takes > seconds(1)) {
      ++world_.manager_troubles;
      world_.slow_commits += takes;
    }
  }
  if (world_.config.breakage == Breakage::kReplyEarly && commit.sync == Sync::kDurable) {
    commit.is_answered = true;
    takes += milliseconds(20);
    process_->post([done = std::move(commit.done)]() mutable { done(ok()); });
  }
  queue->commits.push_back(std::move(commit));
  world_.executor.post_at(world_.now() + takes, [this, life = std::weak_ptr<char>(life_), queue] {
    if (!life.expired()) due(queue);
  });
  world_.step();
}

// The oldest one that was not due is.
void SimStore::due(const std::shared_ptr<Queue>& queue) {
  for (auto& commit : queue->commits) {
    if (commit.is_due) continue;
    commit.is_due = true;
    break;
  }
  // Stood still with its write half-way to the disk.
  if (process_->is_stopped()) return;
  work_off(queue);
}

void SimStore::work_off(const std::shared_ptr<Queue>& queue) {
  while (!process_->is_dead() && !queue->commits.empty() && queue->commits.front().is_due) {
    Commit commit = std::move(queue->commits.front());
    queue->commits.pop_front();
    finish(std::move(commit));
  }
}

Result<void> SimStore::outcome(Commit& commit) {
  if (world_.disk.is_full()) {
    world_.event("commit refused: disk full");
    return fail(Code::kUnavailable, "the disk is full, by script");
  }
  if (world_.random.chance(world_.faults.commit_refused)) {
    world_.event("commit refused");
    return fail(Code::kUnavailable, "the disk is away, by script");
  }
  if (world_.random.chance(world_.faults.commit_unknown)) {
    const bool is_written =
        world_.random.chance(0.5) && world_.disk.write(std::move(commit.batches), commit.sync).has_value();
    world_.event(is_written ? "commit unknown, written" : "commit unknown, not written");
    return fail(Code::kUnknownOutcome, "fsync failed, by script");
  }
  return world_.disk.write(std::move(commit.batches), commit.sync);
}

void SimStore::finish(Commit commit) {
  world_.counters.add(commit.sync == Sync::kDurable ? "durable commits" : "soft commits");
  auto result = outcome(commit);
  if (!result) {
    ++world_.manager_troubles;
    world_.tell([](Checker& checker) { checker.on_manager_trouble(); });
  }
  world_.step();
  if (process_->is_dead() || commit.is_answered) return;
  process_->post(
      [done = std::move(commit.done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void SimStore::kill() {
  for (auto& queue : queues_) {
    for (auto& commit : queue->commits) {
      const bool is_stored = world_.random.chance(0.5) && !world_.disk.is_full();
      world_.event(is_stored ? "commit in flight at a crash, stored" : "commit in flight at a crash, lost");
      if (!is_stored || !world_.disk.write(std::move(commit.batches), commit.sync)) break;
    }
    queue->commits.clear();
  }
}

void SimStore::go_on() {
  for (auto& queue : queues_) work_off(queue);
}

}  // namespace skep::sim
