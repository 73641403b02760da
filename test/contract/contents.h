// SPDX-License-Identifier: Apache-2.0
// contents.h - all that a store holds, as a value that can be compared.
//
// Threads:   value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/memory_tables.h"
#include "store/store.h"

namespace skep::contract {

struct Contents : store::RecordSink {
  void on_queue(QueueRecord record) override { queues.push_back(std::move(record)); }
  void on_task(TaskRecord record) override { tasks.push_back(std::move(record)); }

  bool operator==(const Contents& other) const {
    return queues == other.queues && tasks == other.tasks && blobs == other.blobs;
  }

  // Two for each task.
  std::vector<store::BlobKey> blob_keys() const {
    std::vector<store::BlobKey> keys;
    for (const auto& task : tasks) {
      keys.push_back({store::BlobKind::kBody, task.id});
      keys.push_back({store::BlobKind::kResult, task.id});
    }
    return keys;
  }
  void take_blobs(const std::vector<store::BlobKey>& keys, const std::vector<store::Blob>& found) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (found[i]) blobs[keys[i]] = *found[i];
    }
  }

  std::vector<QueueRecord> queues;  // by shard, then name
  std::vector<TaskRecord> tasks;    // by id
  std::map<store::BlobKey, std::string> blobs;
};

// Of the shards that were claimed.
inline Contents contents_of(const store::MemoryTables& tables) {
  Contents all;
  for (ShardId shard = 0; shard < tables.shard_count(); ++shard) {
    (void)tables.load(shard, tables.epoch(shard), all);
  }
  const auto keys = all.blob_keys();
  all.take_blobs(keys, tables.read(keys));
  return all;
}

// For a failed comparison.
inline std::string describe(const Contents& contents) {
  std::string text = std::to_string(contents.queues.size()) + " queues, " +
                     std::to_string(contents.tasks.size()) + " tasks, " +
                     std::to_string(contents.blobs.size()) + " blobs:";
  for (const auto& task : contents.tasks) {
    text += " " + task.id.to_string().substr(16) + "#" + std::to_string(task.lease_number);
  }
  return text;
}
inline void PrintTo(const Contents& contents, std::ostream* out) {
  *out << describe(contents);
}

}  // namespace skep::contract
