// SPDX-License-Identifier: Apache-2.0
// log_engine.h - the log that is written: opening, appending, tidying up, and healing after an error.
//
// After a sync that failed nothing that it was for is trusted, least of all the system's memory of the file.
// The log is then read again as a restart would read it, and what nobody vouches for is written anew, into
// another segment: nothing is ever synced a second time as if the first failure had not been.
//
// Threads:   any thread; what writes takes turns, and what reads does not wait for it.
// Errors:    with the meaning of store.h; kInvalid when opening.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "store/log_frame.h"
#include "store/log_view.h"
#include "store/segment_disk.h"
#include "store/store.h"

namespace skep::store {

struct LogEngineOptions {
  std::string directory;
  ShardId shard_count = 1;
  std::uint64_t secret = 0;  // of skep.store
  bool is_new = false;       // make the first segment
  std::uint64_t segment_bytes = 0;
  std::uint64_t slack_bytes = 0;  // the store may be half as large again as what is in it, and so much more
  std::shared_ptr<SegmentDisk> disk;
  // Segments that are not needed are removed on a thread of their own; else at once, by who writes.
  bool removes_apart = false;
  // Called when reading the log again after an error lost writes: who relied on them must load again.
  UniqueFunction<void()> on_lost_writes;
};

class LogEngine {
 public:
  // Takes the directory's lock for as long as it is open.
  static Result<std::unique_ptr<LogEngine>> open(LogEngineOptions options, Logger log);
  ~LogEngine();
  LogEngine(const LogEngine&) = delete;
  LogEngine& operator=(const LogEngine&) = delete;

  // Writes what `fill` puts into the frame, as a whole or not at all; its error, if it gives one, and nothing
  // is written.
  Result<void> write(Sync sync, UniqueFunction<Result<void>(FrameBuilder&)> fill);
  // What can wait until a write was answered: vouches for it, copies forward what is left in the oldest
  // segment, prepares the next. Never for long.
  void tidy();

  Result<Epoch> epoch(ShardId shard);
  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys);
  Result<void> load(ShardId shard, RecordSink& sink);

  // Makes all durable, seals the directory and lets go of it. Idempotent.
  Result<void> close();

 private:
  struct Impl;
  explicit LogEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::store
