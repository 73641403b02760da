// SPDX-License-Identifier: Apache-2.0
// rocksdb_engine.h - RocksDB as tables of bytes: opening, writing, reading, and healing after an error.
//
// Knows RocksDB and the disk, but neither tasks nor shards (rocksdb_store.h does). After a write that failed
// it closes and opens the database within the process, exactly as a restart would: the logs are looked
// through, what was promised is there, and what was not is gone or complete. Nothing is ever synced a second
// time as if the first failure had not been: what the logs hold is written anew.
//
// Threads:   any thread; calls that find the engine broken wait while it is opened again.
// Errors:    kUnavailable, kUnknownOutcome, kCorrupt with the meaning of store.h; kInvalid when opening.
// Ownership: borrows the Env, which must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "store/log_scan.h"
#include "store/rocksdb_files.h"
#include "store/rocksdb_keys.h"
#include "store/store.h"

namespace rocksdb {
class Env;
}

namespace skep::store {

enum class EngineMode : std::uint8_t {
  kCreate,    // make what is missing
  kOpen,      // all must be there
  kReadOnly,  // change nothing, not even a torn end
};

// What a reader finds before RocksDB gets to see the files.
struct Inspection {
  bool was_sealed = false;    // closed cleanly, and nothing was changed since
  std::vector<Error> damage;  // of the seal, the list of files, the logs; each names its file
  std::vector<LogCut> torn;   // ends of logs that nobody was promised: a writer will cut them off
  std::uint64_t logs = 0;     // that were read through, and their bytes
  std::uint64_t log_bytes = 0;
};

struct EngineOptions {
  std::string directory;
  EngineMode mode = EngineMode::kOpen;
  std::optional<std::uint64_t> secret;  // of skep.store; only a reader may do without
  std::size_t cache_bytes = std::size_t{64} << 20;
  std::size_t write_buffer_bytes = std::size_t{128} << 20;  // of all tables together
  std::size_t log_bytes_max = std::size_t{128} << 20;       // what a restart has to read at most
  rocksdb::Env* env = nullptr;                              // null: the machine's
  // kReadOnly: filled while opening, which then goes on after damage as far as it can. Null: opening fails at
  // the first.
  Inspection* inspection = nullptr;
  // Called when opening again after an error lost writes that were not durable: who relied on them must load
  // again.
  UniqueFunction<void()> on_lost_writes;
};

// The changes of one write, applied in order and as a whole.
class KvBatch {
 public:
  void put(Table table, std::string_view key, std::string_view value);
  void erase(Table table, std::string_view key);

  struct Impl;
  explicit KvBatch(Impl& impl) : impl_(impl) {}

 private:
  Impl& impl_;
};

class RocksdbEngine {
 public:
  // Takes the directory's lock for as long as it is open. kUnavailable: another process has it, or the disk
  // is full or away.
  static Result<std::unique_ptr<RocksdbEngine>> open(EngineOptions options, Logger log);
  ~RocksdbEngine();
  RocksdbEngine(const RocksdbEngine&) = delete;
  RocksdbEngine& operator=(const RocksdbEngine&) = delete;

  // Writes what `fill` puts into the batch; its error, if it gives one, and nothing is written.
  Result<void> write(Sync sync, UniqueFunction<Result<void>(KvBatch&)> fill);

  // Gives `visit` each key's value or nothing, in the order of the keys, until it fails.
  using VisitValue = UniqueFunction<Result<void>(std::size_t index, std::optional<std::string_view> value)>;
  Result<void> get(Table table, const std::vector<std::string>& keys, VisitValue visit);
  // Gives `visit` every entry whose key begins with `prefix`, in order, until it fails.
  using VisitEntry = UniqueFunction<Result<void>(std::string_view key, std::string_view value)>;
  Result<void> scan(Table table, std::string_view prefix, VisitEntry visit);
  // The same for every entry from the key `first` on.
  Result<void> scan_from(Table table, std::string_view first, VisitEntry visit);

  // Gives back the room of what was erased: RocksDB does that as it is written to, and a store that takes no
  // new tasks hardly is. The tables are written anew, which takes that long, and files of bodies and results
  // of which nothing is left go; those of which something is left stay as they are. Success: false, and
  // nothing was done, if `free` bytes are not twice what the tables have, for old and new stand side by side.
  Result<bool> give_back(std::uint64_t free);
  // Ends it, for good: before close().
  void stop_giving_back();

  // Reads every data file whole and compares it with the checksum of its making.
  Result<FileCheck> check_files();

  // Writes out what is in memory, seals the directory and lets go of it. Idempotent. kUnavailable: that did
  // not succeed; what was durable still is.
  Result<void> close();

 private:
  struct Impl;
  explicit RocksdbEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::store
