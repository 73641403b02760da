// SPDX-License-Identifier: Apache-2.0
// compute_threads.h - the threads that run tasks, one for each slot, each with a compute engine of its own.
//
// Threads:   start and stop from one executor; the replies run there too. Owns one thread a slot.
// Errors:    a task of a kind or program that this worker does not know ends as a permanent failure.
// Ownership: borrows clock and executor. The destructor stops what runs and joins; replies that are posted by
// then
//            still run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "worker/executor_command.h"

namespace skep::worker {

// How far a running sha512 task is, and what it cost to get there.
struct Progress {
  std::string lease;
  std::uint64_t iterations_done = 0;
  std::uint64_t iterations_since = 0;  // the last report
  Duration busy{};                     // since the last report
};

struct ComputeOptions {
  std::uint32_t slots = 1;
  Programs programs;              // resolved
  std::string command_directory;  // where commands get their working directories
};

struct ComputeReplies {
  std::function<void(api::v1::Outcome)> finished;
  std::function<void(Progress)> progressed;  // some times a second, and once at the end
};

class ComputeThreads {
 public:
  ComputeThreads(ComputeOptions options, const Clock& clock, Executor& executor, ComputeReplies replies);
  ~ComputeThreads();
  ComputeThreads(const ComputeThreads&) = delete;
  ComputeThreads& operator=(const ComputeThreads&) = delete;

  // Runs the task as soon as a thread is free.
  void start(api::v1::Lease lease);
  // Gives the task up. Its outcome may still come if it ended by itself at the same time.
  void stop(const std::string& lease);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::worker
