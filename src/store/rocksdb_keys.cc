// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_keys.h"

#include "base/hash.h"
#include "task/bytes.h"

namespace skep::store {
namespace {

constexpr std::size_t kTaskKeyBytes = 12;
constexpr std::size_t kShardBytes = 2;
constexpr char kMetaVersion = 1;
constexpr std::size_t kMetaBytes = 1 + 8 + 4;

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t read_big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

std::string_view table_name(Table table) {
  switch (table) {
    case Table::kMeta:
      return "default";
    case Table::kTasks:
      return "tasks";
    case Table::kQueues:
      return "queues";
    case Table::kBodies:
      return "bodies";
    case Table::kResults:
      return "results";
  }
  return "unknown";
}

std::string task_key(const TaskId& id) {
  std::string key;
  key.reserve(kTaskKeyBytes);
  append_big_endian(key, id.shard, 2);
  append_big_endian(key, id.epoch, 4);
  append_big_endian(key, id.sequence, 6);
  return key;
}

Result<TaskId> parse_task_key(std::string_view key) {
  if (key.size() != kTaskKeyBytes) {
    return fail(Code::kCorrupt, "key " + show_key(key) + " is not that of a task: it has not 12 bytes");
  }
  return TaskId{static_cast<ShardId>(read_big_endian(key.substr(0, 2))),
                static_cast<Epoch>(read_big_endian(key.substr(2, 4))), read_big_endian(key.substr(6, 6))};
}

std::string shard_prefix(ShardId shard) {
  std::string prefix;
  append_big_endian(prefix, shard, kShardBytes);
  return prefix;
}

std::string queue_key(ShardId shard, std::string_view name) {
  return shard_prefix(shard).append(name);
}

Result<QueueKey> parse_queue_key(std::string_view key) {
  if (key.size() <= kShardBytes) {
    return fail(Code::kCorrupt, "key " + show_key(key) + " is not that of a queue: it has no name");
  }
  return QueueKey{static_cast<ShardId>(read_big_endian(key.substr(0, kShardBytes))), key.substr(kShardBytes)};
}

std::string epoch_key(ShardId shard) {
  return std::string(kMetaEpochPrefix) + shard_prefix(shard);
}

Result<ShardId> parse_epoch_key(std::string_view key) {
  if (!key.starts_with(kMetaEpochPrefix) || key.size() != kMetaEpochPrefix.size() + kShardBytes) {
    return fail(Code::kCorrupt, "key " + show_key(key) + " is not that of a shard's epoch");
  }
  return static_cast<ShardId>(read_big_endian(key.substr(kMetaEpochPrefix.size())));
}

std::string encode_meta(std::string_view key, std::uint64_t value) {
  std::string out(1, kMetaVersion);
  append_fixed(out, value, 8);
  append_fixed(out, crc32c(key, crc32c(out)), 4);
  return out;
}

Result<std::uint64_t> decode_meta(std::string_view key, std::string_view stored) {
  const auto corrupt = [&](std::string_view problem) {
    return fail(Code::kCorrupt, "meta value " + show_key(key) + ": " + std::string(problem));
  };
  if (stored.size() != kMetaBytes) return corrupt("it has not 13 bytes");
  if (read_fixed(stored.substr(9)) != crc32c(key, crc32c(stored.substr(0, 9)))) {
    return corrupt("its checksum does not match");
  }
  if (stored[0] != kMetaVersion) return corrupt("a newer skep wrote it, use that one");
  return read_fixed(stored.substr(1, 8));
}

std::string show_key(std::string_view key) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x21 && byte < 0x7f && c != '\\') {
      text.push_back(c);
    } else {
      text.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
  }
  return text;
}

std::string describe_key(Table table, std::string_view key) {
  const auto of_task = [&](std::string_view what) {
    const auto id = parse_task_key(key);
    return std::string(what) + " of " + (id ? "task " + id.value().to_string() : "key " + show_key(key));
  };
  switch (table) {
    case Table::kMeta: {
      const auto shard = parse_epoch_key(key);
      return shard ? "epoch of shard " + std::to_string(shard.value()) : "meta value " + show_key(key);
    }
    case Table::kQueues: {
      const auto queue = parse_queue_key(key);
      if (!queue) return "queue record of key " + show_key(key);
      return "record of queue '" + show_key(queue.value().name) + "' in shard " +
             std::to_string(queue.value().shard);
    }
    case Table::kTasks:
      return of_task("record");
    case Table::kBodies:
      return of_task("body");
    case Table::kResults:
      return of_task("result");
  }
  return show_key(key);
}

}  // namespace skep::store
