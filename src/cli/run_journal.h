// SPDX-License-Identifier: Apache-2.0
// run_journal.h - what `skep run` has of one job: which items have ended and how, so that the same command
// goes on where an earlier one was killed.
//
// A directory of its own with `command` (for people), `results` (what ended, in the order in which it came)
// and whatever else the job keeps there. A record is CRC-32C (4), length (4), index (4), then a RunReport;
// all numbers little-endian. The end of `results` may be torn by a kill: what is not whole there is cut off.
//
// Threads:   one thread. One process at a time: the directory is locked.
// Errors:    kConflict: another process has it; kUnavailable: the system's reason, and the place.
// Ownership: the directory stays until remove().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/result.h"
#include "base/time.h"

namespace skep::cli {

// Where the jobs of this user lie: $XDG_STATE_HOME/skep/run, ~/.local/state/skep/run. kInvalid: neither is
// set.
Result<std::string> jobs_directory();
// Of the job that consists of `parts`: the same for the same job alone.
std::string job_name(const std::vector<std::string>& parts);

// Of jobs that were interrupted, those are kept that ran last and not long ago.
inline constexpr std::size_t kJobsKept = 20;
inline constexpr Duration kJobKeptFor = hours(24 * 30);  // since it last ran

// Removes the other jobs in `jobs`; never one that runs, nor what is no job. How many.
std::size_t sweep_jobs(const std::string& jobs, Instant now);

class RunJournal {
 public:
  // Takes up the job in `directory`, or begins it. `title`: for people.
  static Result<std::unique_ptr<RunJournal>> open(const std::string& directory, const std::string& title);
  ~RunJournal();
  RunJournal(const RunJournal&) = delete;
  RunJournal& operator=(const RunJournal&) = delete;

  const std::string& directory() const { return directory_; }
  // Of the job, from its beginning to its end; no other has it.
  const std::string& id() const { return id_; }

  struct Record {
    std::uint32_t index = 0;
    std::uint64_t offset = 0;  // for read()
  };
  // What was there when it was opened.
  const std::vector<Record>& records() const { return records_; }

  Result<Record> append(std::uint32_t index, const api::v1::RunReport& report);
  // All that was appended is on stable storage when it returns.
  Result<void> sync();
  Result<api::v1::RunReport> read(const Record& record) const;

  // The job is over: nothing of it is kept.
  void remove();

 private:
  RunJournal() = default;
  Result<void> take_lock();
  Result<void> read_id();
  Result<void> read_all();

  std::string directory_;
  std::string id_;
  int lock_ = -1;
  int file_ = -1;
  std::uint64_t size_ = 0;
  std::vector<Record> records_;
};

}  // namespace skep::cli
