// SPDX-License-Identifier: Apache-2.0
// run_loop.h - the client's side of `skep run`: puts items on a queue and takes what comes back, until all
// have ended.
//
// Each item is a task whose key is made of the job and its number: what was enqueued before is not enqueued
// again, by whichever process. A result is in the journal, on stable storage, before the manager may forget
// it.
//
// Threads:   the main thread.
// Errors:    kUnavailable, kTimeout: the manager's; kInterrupted is no error: interrupted() says so.
// Ownership: borrows everything.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/skep.pb.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/run_journal.h"
#include "cli/run_output.h"

namespace skep::cli {

struct RunLoopOptions {
  std::string job;  // the beginning of each key
  std::string queue;
  std::uint32_t runs_max = 1;  // of an item that fails by its own exit code
  bool is_reported = false;    // results are RunReports
  // The task of an item.
  std::function<Result<api::v1::EnqueueRequest>(std::uint32_t index)> make_task;
};

class RunLoop {
 public:
  RunLoop(Remote& remote, SignalWaiter& signals, RunJournal& journal, RunOutput& output, std::uint32_t items,
          RunLoopOptions options);

  Result<void> run();
  bool interrupted() const { return is_interrupted_; }

 private:
  Result<void> enqueue_some();
  Result<void> enqueue(const std::vector<std::uint32_t>& indices);
  Result<bool> pull(Duration wait);  // whether something came
  Result<void> take(std::uint32_t index, const std::string& id, api::v1::RunReport report);
  Result<void> take_unfinished();  // those that a manager gave up, or that somebody cancelled
  // What the first task waits for, said once if nothing came for some seconds.
  Result<void> tell_why();
  Result<void> keep();  // what was taken is safe, shown and acknowledged
  bool should_run_again(std::uint32_t index, const api::v1::RunReport& report);

  Remote& remote_;
  SignalWaiter& signals_;
  RunJournal& journal_;
  RunOutput& output_;
  const std::uint32_t items_;
  const RunLoopOptions options_;
  std::vector<bool> has_ended_;
  std::uint32_t next_ = 0;                                    // to be enqueued
  std::unordered_map<std::string, std::uint32_t> under_way_;  // index by id
  std::unordered_map<std::uint32_t, std::uint32_t> runs_;     // that failed, by index
  std::vector<std::uint32_t> again_;                          // to be enqueued once more
  std::vector<RunJournal::Record> taken_;
  std::vector<std::string> taken_ids_;
  Instant looked_at_{};
  Instant came_at_{};  // when something last came
  bool is_told_ = false;
  bool is_interrupted_ = false;
};

}  // namespace skep::cli
