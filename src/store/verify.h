// SPDX-License-Identifier: Apache-2.0
// verify.h - reads a store's directory whole and says what is wrong in it. Changes nothing.
//
// Every file is compared with its checksum (skep.store, the seal; RocksDB's list of files, the logs, each
// data file; the log engine's frames and all that they carry), every record and blob with its own, every key
// with what lies under it, every record with task/record_check.h, and the records with each other. Damage
// does not end the reading: what can be read around it is looked at. The directory's lock is held meanwhile.
//
// Threads:   any thread; blocks.
// Errors:    kNotFound: no store is there; kInvalid: something else's files, a newer format, no permission;
//            kUnavailable: open in another process. What is damaged is no error but a finding.
// Cost:      reads every byte twice; memory about 150 bytes a task.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "task/id.h"

namespace skep::store {

struct VerifyOptions {
  std::string directory;
  std::size_t findings_max = 1'000;  // more are only counted
};

struct Finding {
  std::string place;  // a file, a task, a queue...
  std::string what;

  std::string to_string() const { return place + ": " + what; }
};

struct VerifyReport {
  std::vector<Finding> findings;
  std::uint64_t findings_left_out = 0;
  std::vector<std::string> notes;  // what is as it should be and worth a word: a torn end of a log
  bool was_read = false;           // false: damaged so that it can not be opened; only files were looked at

  std::string engine;       // "rocksdb", "log"; empty if skep.store can not be read
  bool was_sealed = false;  // closed cleanly
  std::uint64_t data_files = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t logs = 0;
  std::uint64_t log_bytes = 0;
  ShardId shards = 0;
  std::uint64_t queues = 0;  // with settings of their own
  std::uint64_t tasks = 0;
  std::array<std::uint64_t, 7> tasks_by_state{};  // index: TaskState
  std::uint64_t bodies = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t results = 0;
  std::uint64_t result_bytes = 0;

  bool is_clean() const { return findings.empty(); }
};

Result<VerifyReport> verify_store(const VerifyOptions& options);

}  // namespace skep::store
