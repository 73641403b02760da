// SPDX-License-Identifier: Apache-2.0
// rocksdb_store.h - store.h in one directory of this machine, for one process: the default engine.
//
// docs/store_format.md describes what lies in the directory, docs/decisions/wal_recovery.md what a crash may
// leave. After an error the store heals by itself, at the next commit or claim: when there is space again, or
// by opening the directory anew.
//
// Threads:   as store.h; each session has two threads of its own, one for commits and one for reads.
// Errors:    as store.h. Opening: kInvalid (not a directory, something else's files, a newer format),
// kUnavailable
//            (open in another process, disk full), kCorrupt (damaged; the message names the place).
// Ownership: the store holds the directory's lock until it is closed or destroyed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "store/store.h"

namespace rocksdb {
class Env;
}

namespace skep::store {

struct RocksdbOptions {
  std::string directory;     // made if it is missing and its parent exists
  ShardId shard_count = 1;   // of a store that is made; one that exists keeps its own
  bool is_numbered = false;  // its epochs have a number, so that its ids are told from those of other stores
  std::size_t cache_bytes = std::size_t{64} << 20;
  std::size_t write_buffer_bytes = std::size_t{128} << 20;
  std::size_t log_bytes_max = std::size_t{128} << 20;  // what a restart has to read at most
  rocksdb::Env* env = nullptr;  // null: the machine's; else borrowed, for tests with faults
};

// Opens the store in the directory, or makes one.
Result<std::unique_ptr<Store>> open_rocksdb(const RocksdbOptions& options, Logger log);

}  // namespace skep::store
