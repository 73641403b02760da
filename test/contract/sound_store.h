// SPDX-License-Identifier: Apache-2.0
// sound_store.h - a store as the core leaves one: every state, small and large blobs, in files and in logs.
//
// Threads:   the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "driver.h"
#include "engines.h"
#include "store/log_store.h"
#include "store/rocksdb_store.h"
#include "store/store_directory.h"

namespace skep::contract {

inline constexpr ShardId kSoundShards = 2;
inline constexpr std::uint64_t kSoundTasks = 24;                    // of each shard and epoch
inline constexpr std::uint64_t kSoundBodies = kSoundTasks * 4 / 6;  // of these: neither done nor cancelled

inline std::string sound_bytes(const TaskId& id, std::size_t size) {
  Random random(id.sequence * 131 + id.epoch * 7 + id.shard);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  return bytes;
}

// A task whose state, blobs and fields follow from its id.
inline store::PutTask sound_task(const TaskId& id) {
  constexpr Instant kAt = Instant(seconds(1'000'000'000));
  store::PutTask put;
  TaskRecord& r = *put.record;
  r.id = id;
  r.spec.iterations = id.sequence;
  r.spec.idempotency_key = id.sequence % 5 == 0 ? "key" + id.to_string() : "";
  r.state = static_cast<TaskState>(1 + id.sequence % 6);
  r.enqueued_at = r.ready_at = r.queued_at = kAt;
  // Blobs below and above the size at which RocksDB keeps them apart.
  const std::string body =
      sound_bytes(id, id.sequence % 3 == 0 ? 3'000 + 40 * id.sequence : 10 * id.sequence);
  r.body_bytes = body.size();
  put.body = std::make_shared<const std::string>(body);
  if (r.state == TaskState::kDelayed || r.state == TaskState::kQueued) return put;
  r.lease_epoch = id.epoch;
  r.lease_number = 1;
  r.worker = "w1";
  r.leased_at = r.started_at = r.lease_expires_at = kAt + seconds(1);
  if (r.state == TaskState::kLeased) return put;
  r.finished_at = kAt + seconds(2);
  if (r.state != TaskState::kDead) put.body = nullptr;
  if (r.state != TaskState::kDone) {
    r.reason = "a reason";
    return put;
  }
  const std::string result = sound_bytes(id, id.sequence % 2 == 0 ? 2'000 : 128);
  r.result_bytes = result.size();
  r.result_hash = fnv1a(result);
  r.completion = id.sequence;
  r.completion_epoch = id.epoch;
  put.result = std::make_shared<const std::string>(result);
  return put;
}

inline Result<std::unique_ptr<store::Store>> open_sound(const std::string& directory,
                                                        std::string_view engine = store::kRocksdbEngine) {
  if (engine == store::kLogEngine) {
    store::LogOptions options;
    options.directory = directory;
    options.shard_count = kSoundShards;
    options.segment_bytes = 1 << 16;  // several of them
    return store::open_log(options, Logger());
  }
  store::RocksdbOptions options;
  options.directory = directory;
  options.shard_count = kSoundShards;
  return store::open_rocksdb(options, Logger());
}

// Claims every shard and commits tasks of the new epoch, each in a commit of its own.
inline void add_sound_tasks(store::Store& store) {
  Driver driver(store);
  const auto epochs = driver.claim_all();
  ASSERT_TRUE(epochs) << epochs.error().message;
  for (ShardId shard = 0; shard < kSoundShards; ++shard) {
    const Epoch epoch = epochs.value()[shard];
    QueueRecord queue;
    queue.name = "default";
    queue.depth_max = epoch;
    ASSERT_TRUE(driver.commit({{shard, epoch, {store::PutQueue{queue}}}}));
    for (std::uint64_t sequence = 1; sequence <= kSoundTasks; ++sequence) {
      const auto sync = sequence % 4 == 0 ? store::Sync::kDurable : store::Sync::kSoft;
      ASSERT_TRUE(driver.commit({{shard, epoch, {sound_task({shard, epoch, sequence})}}}, sync));
    }
  }
}

inline void copy_directory(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

// Closed cleanly: tasks of epochs 1 and 2, all in data files.
inline void make_sealed_store(const std::string& directory, std::string_view engine = store::kRocksdbEngine) {
  for (int epoch = 1; epoch <= 2; ++epoch) {
    auto opened = open_sound(directory, engine);
    ASSERT_TRUE(opened) << opened.error().message;
    add_sound_tasks(*opened.value());
    ASSERT_TRUE(opened.value()->close());
  }
}

// Killed: tasks of epochs 1 and 2 in data files, those of epoch 3 in the log.
inline void make_killed_store(const std::string& directory, std::string_view engine = store::kRocksdbEngine) {
  const std::string alive = directory + ".alive";
  make_sealed_store(alive, engine);
  auto opened = open_sound(alive, engine);
  ASSERT_TRUE(opened) << opened.error().message;
  add_sound_tasks(*opened.value());
  copy_directory(alive, directory);
}

}  // namespace skep::contract
