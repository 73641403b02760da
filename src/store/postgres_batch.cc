// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_batch.h"

#include <map>

#include "base/check.h"
#include "store/postgres_rows.h"
#include "store/sql_statements.h"

namespace skep::store {
namespace {

constexpr std::size_t kBlobBytesAtOnce = std::size_t{16} << 20;  // a message of PostgreSQL ends at 1 GiB

// What remains of all changes of one task: a statement may touch a row once.
struct BlobChange {
  bool is_erased = false;
  Blob put;
};
struct TaskChange {
  bool is_erased = false;  // and not put again
  const TaskRecord* record = nullptr;
  BlobChange body, result;
};

class Changes {
 public:
  void add(ShardId shard, const Mutation& mutation) {
    if (const auto* queue = std::get_if<PutQueue>(&mutation)) {
      queues_[{shard, queue->record.name}] = &queue->record;
    } else if (const auto* put = std::get_if<PutTask>(&mutation)) {
      TaskChange& task = task_of(shard, put->record->id);
      task.is_erased = false;
      task.record = &*put->record;
      if (put->body) task.body = {false, put->body};
      if (put->result) task.result = {false, put->result};
    } else if (const auto* body = std::get_if<EraseBody>(&mutation)) {
      task_of(shard, body->id).body = {true, nullptr};
    } else {
      task_of(shard, std::get<EraseTask>(mutation).id) = {true, nullptr, {true, nullptr}, {true, nullptr}};
    }
  }

  void append_to(std::vector<PgCall>& calls) {
    PgColumns queues, erased, tasks;
    for (const auto& [key, record] : queues_) queues.add(key.first, *record);
    for (const auto& [id, task] : tasks_) {
      if (task.is_erased) erased.add(id);
      if (task.record != nullptr) tasks.add(*task.record);
    }
    append(calls, sql::put_queues, queues);
    append(calls, sql::erase_task_records, erased);
    append(calls, sql::put_tasks, tasks);
    append_blobs(calls, &TaskChange::body, sql::erase_bodies, sql::put_bodies);
    append_blobs(calls, &TaskChange::result, sql::erase_results, sql::put_results);
  }

 private:
  TaskChange& task_of(ShardId shard, const TaskId& id) {
    SKEP_CHECK(id.shard == shard, "a shard's batch holds changes of its own tasks only");
    return tasks_[id];
  }
  static void append(std::vector<PgCall>& calls, std::string_view statement, PgColumns& columns) {
    if (columns.rows() > 0) calls.push_back({statement, columns.take()});
  }
  void append_blobs(std::vector<PgCall>& calls, BlobChange TaskChange::*member, std::string_view erase,
                    std::string_view put) {
    PgColumns erased, blobs;
    std::size_t bytes = 0;
    for (const auto& [id, task] : tasks_) {
      const BlobChange& blob = task.*member;
      if (blob.is_erased) erased.add(id);
      if (!blob.put) continue;
      blobs.add(id, *blob.put);
      bytes += blob.put->size();
      if (bytes < kBlobBytesAtOnce) continue;
      append(calls, put, blobs);
      bytes = 0;
    }
    append(calls, erase, erased);
    append(calls, put, blobs);
  }

  // In the order of the keys, so that neighbours in a page are written together.
  std::map<std::pair<ShardId, std::string>, const QueueRecord*> queues_;
  std::map<TaskId, TaskChange> tasks_;
};

}  // namespace

std::vector<PgCall> statements_of(const std::vector<ShardBatch>& batches, Sync sync) {
  std::vector<PgCall> calls;
  if (sync == Sync::kSoft) calls.push_back({"SET LOCAL synchronous_commit = off", {}});
  if (batches.empty()) {
    // Durable means the soft ones before it, too.
    if (sync == Sync::kSoft) return {};
    calls.push_back({sql::flush, {}});
    return calls;
  }
  PgArray shards(PgType::kInt8), epochs(PgType::kInt8);
  Changes changes;
  for (const auto& batch : batches) {
    shards.add(std::int64_t{batch.shard});
    epochs.add(std::int64_t{batch.epoch});
    for (const auto& mutation : batch.mutations) changes.add(batch.shard, mutation);
  }
  calls.push_back({sql::fence, {shards.take(), epochs.take()}});
  changes.append_to(calls);
  return calls;
}

}  // namespace skep::store
