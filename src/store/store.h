// SPDX-License-Identifier: Apache-2.0
// store.h - the durable contract: where a shard's truth lives.
//
// A store keeps task records, bodies, results and queue settings of shards, and the epoch of each shard. It
// does not know what a task's states mean: the core decides, the store keeps. test/contract is the definition
// of this interface; every engine passes it.
//
// Order of a caller's duties: claim the shard, load it, then commit batches at the claimed epoch and answer
// clients only after the commit that carries their change has succeeded. Where several managers may share the
// store, shards are taken by its Membership and not claimed.
//
// Threads:   a Store from its owner's thread; a Session from one executor, which also gets the replies.
// Errors:    each call says; foreign errors are converted inside the engine.
// Ownership: a Session must not outlive its Store. Blobs are shared and never change.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/boxed.h"
#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "store/membership.h"
#include "task/task.h"

namespace skep::store {

using Blob = std::shared_ptr<const std::string>;

// Writes the record; body and result only where given, else what is stored under the id stays.
struct PutTask {
  Boxed<TaskRecord> record;
  Blob body;    // null: unchanged
  Blob result;  // null: unchanged
};
// Removes the body and leaves the rest. Where there is none: nothing happens.
struct EraseBody {
  TaskId id;
};
// Removes the record, the body and the result. Of an unknown id: nothing happens.
struct EraseTask {
  TaskId id;
};
struct PutQueue {
  QueueRecord record;
};
// One change. Later ones of a batch win over earlier ones.
using Mutation = std::variant<PutTask, EraseBody, EraseTask, PutQueue>;

// The changes of one shard in one commit. Fenced if `epoch` is not the shard's epoch in the store.
struct ShardBatch {
  ShardId shard = 0;
  Epoch epoch = 0;
  std::vector<Mutation> mutations;
};

enum class Sync : std::uint8_t {
  kDurable,  // success means: on stable storage
  kSoft,     // success means: will be on stable storage with the next durable commit; may be lost in a crash
             // before
};

enum class BlobKind : std::uint8_t { kBody = 1, kResult = 2 };
struct BlobKey {
  BlobKind kind = BlobKind::kBody;
  TaskId task;
  auto operator<=>(const BlobKey&) const = default;
};

// Receives a shard's records. The order is by id for tasks; queues come first.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void on_queue(QueueRecord record) = 0;
  virtual void on_task(TaskRecord record) = 0;
};

class Session {
 public:
  using CommitDone = UniqueFunction<void(Result<void>)>;
  using ReadDone = UniqueFunction<void(Result<std::vector<Blob>>)>;

  virtual ~Session() = default;

  // Writes all batches or none. `done` runs on the session's executor, never inside the call; commits
  // complete in the order they were given, and a commit sees those before it. kFenced: a shard's epoch is not
  // the batch's; nothing was written. kUnavailable: the disk is full or away; nothing was written, and later
  // commits may succeed. kUnknownOutcome: it may or may not be stored; the caller must claim and load the
  // shard again. kCorrupt: the store is damaged; the message names the place.
  virtual void commit(std::vector<ShardBatch> batches, Sync sync, CommitDone done) = 0;

  // Reads blobs, in the order of the keys; null for one that is not stored. Sees the commits that completed
  // before. kCorrupt: a checksum does not match (the message names the task); kUnavailable: the store is
  // away.
  virtual void read(std::vector<BlobKey> keys, ReadDone done) = 0;
};

// What the store can say of itself, for status and metrics.
struct StoreStats {
  std::string engine;            // "memory", "rocksdb", "log", "postgres"
  std::string place;             // the directory; host:port/database
  std::uint64_t disk_bytes = 0;  // used by the store; 0 if unknown
  std::uint64_t free_bytes = 0;  // left on its disk; 0 if unknown
  std::string durability;        // what a durable commit means here, for a person
};

// How much is left on a store's disk, and how much of it the store wants to go on with what is there: leases
// and results are written too, and it tidies up by writing.
struct DiskRoom {
  std::uint64_t free = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t reserve = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // Makes the caller the owner of `shard` at an epoch higher than every one before, durably. Blocks.
  // kUnavailable, kCorrupt.
  virtual Result<Epoch> claim(ShardId shard) = 0;

  // How many shards this store was made with; fixed then.
  virtual ShardId shard_count() const = 0;

  // Hands every record of `shard` to `sink`. Blocks. kCorrupt: the message names the record; what was handed
  // over before is not to be used. kFenced: `epoch` is not the shard's any more.
  virtual Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) = 0;

  // Whether several managers may share it.
  virtual bool is_shared() const { return false; }

  // Joins the managers that share this store, as one that its siblings reach at `address` (HOST:PORT). Null:
  // it is not shared, and its one manager claims every shard. Blocks. kUnavailable. `executor` gets the
  // replies and must outlive the membership.
  virtual Result<std::unique_ptr<Membership>> join(const std::string& address, Executor& executor) {
    (void)address;
    (void)executor;
    return std::unique_ptr<Membership>();
  }

  // `executor` gets the replies and must outlive the session.
  virtual std::unique_ptr<Session> open_session(Executor& executor) = 0;

  virtual StoreStats stats() const = 0;         // any thread
  virtual DiskRoom room() const { return {}; }  // any thread; without a disk of its own: any number
  // Asks that the room of what was erased is free soon, where that does not come by itself. Returns at once;
  // any thread but that of close(), at any rate.
  virtual void give_back() {}

  // Makes everything committed durable and lets go of the directory. No session may be open. Idempotent.
  virtual Result<void> close() = 0;
};

}  // namespace skep::store
