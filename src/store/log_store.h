// SPDX-License-Identifier: Apache-2.0
// log_store.h - store.h in one directory of this machine, for one process: a log that is nothing but a log.
//
// For a queue: what is written is read back by id or not at all, and soon it is gone. Each commit is one
// write and, if it is to be durable, one sync; bodies are written once. docs/store_format.md describes the
// files, docs/decisions/log_engine.md why they are so. After an error the store heals by itself, at the next
// commit or claim.
//
// Threads:   as store.h; each session has two threads of its own, one for commits and one for reads.
// Errors:    as store.h. Opening: kInvalid (not a directory, something else's files, another engine's, a
//            newer format), kUnavailable (open in another process, disk full), kCorrupt (damaged; the message
//            names the place).
// Ownership: the store holds the directory's lock until it is closed or destroyed.
// Cost:      about 37 bytes of memory a task; opening reads the list of each commit, loading each record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "store/segment_disk.h"
#include "store/store.h"

namespace skep::store {

// Of a directory of this engine. Larger than any that RocksDB's may have in a program that does not know of
// engines, so that such a program leaves it alone.
inline constexpr std::uint32_t kLogFormat = 3;

struct LogOptions {
  std::string directory;     // made if it is missing and its parent exists
  ShardId shard_count = 1;   // of a store that is made; one that exists keeps its own
  bool is_numbered = false;  // as in RocksdbOptions
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  // The directory is at most half as large again as what is in it, and so much larger.
  std::uint64_t slack_bytes = std::uint64_t{1} << 30;
  // Null: the machine's, and files that are not needed are removed on a thread of their own. Another one is
  // called by one thread at a time.
  std::shared_ptr<SegmentDisk> disk;
};

// Opens the store in the directory, or makes one.
Result<std::unique_ptr<Store>> open_log(const LogOptions& options, Logger log);

}  // namespace skep::store
