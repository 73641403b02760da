// SPDX-License-Identifier: Apache-2.0
// rocksdb_keys.h - keys and meta values of the embedded engine, as bytes.
//
// Keys are big-endian, so that their order is that of (shard, epoch, sequence) and a shard is one range.
// docs/store_format.md describes them.
//
// Threads:   any thread.
// Errors:    kCorrupt: bytes that no writer of this format leaves behind.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "task/id.h"

namespace skep::store {

// What RocksDB calls a column family. The order is that of the handles.
enum class Table : std::uint8_t { kMeta, kTasks, kQueues, kBodies, kResults };
inline constexpr std::size_t kTableCount = 5;
// RocksDB's name of the table; kMeta is its "default".
std::string_view table_name(Table table);

// The format of the whole store: which tables there are and what their keys look like. Records and blobs
// carry their own version (task/record.h).
inline constexpr std::uint32_t kStoreFormat = 2;

// 12 bytes: shard, epoch, sequence.
std::string task_key(const TaskId& id);
Result<TaskId> parse_task_key(std::string_view key);
// The beginning of every key of the shard.
std::string shard_prefix(ShardId shard);
// The shard's prefix, then the name.
std::string queue_key(ShardId shard, std::string_view name);
struct QueueKey {
  ShardId shard = 0;
  std::string_view name;
};
Result<QueueKey> parse_queue_key(std::string_view key);

inline constexpr std::string_view kMetaFormat = "format";
inline constexpr std::string_view kMetaShardCount = "shards";
inline constexpr std::string_view kMetaEpochPrefix = "epoch/";
std::string epoch_key(ShardId shard);
Result<ShardId> parse_epoch_key(std::string_view key);

// A number under a meta key: version, the number, CRC-32C of both and of the key.
std::string encode_meta(std::string_view key, std::uint64_t value);
Result<std::uint64_t> decode_meta(std::string_view key, std::string_view stored);

// A key for a person: text as it is, other bytes as \xHH.
std::string show_key(std::string_view key);
// What lies under the key, for a person: "body of task ID".
std::string describe_key(Table table, std::string_view key);

}  // namespace skep::store
