// SPDX-License-Identifier: Apache-2.0
// compute_threads.h - the threads that run tasks: one for each core, which computes as many sha512 tasks at
// once as its engine has lanes, and one for each program of kind command that may run at once.
//
// Tasks go to the core that has the fewest; a core that runs dry is given some of another's, also in the
// middle of a chain. When the threads are as many as the processors that this process may use, each keeps to
// one.
//
// Threads:   all calls from one executor; the replies run there too. Owns its threads.
// Errors:    a task of a kind or program that this worker does not know ends as a permanent failure.
// Ownership: borrows clock and executor. The destructor stops what runs and joins; replies that are posted by
//            then still run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "compute/plan.h"
#include "worker/executor_command.h"
#include "worker/hash_core.h"

namespace skep::worker {

struct ComputeOptions {
  std::vector<std::uint32_t> lanes{1};  // of each core's engine, one thread each; at most the plan's
  compute::Plan plan;
  std::uint32_t commands = 1;  // programs that run at once
  Programs programs;           // resolved
  CommandPlace command_place = std::string();
};

// How fast one slot is when all are in use.
struct SpeedSample {
  double compressions = 0;
  Duration busy{};
};

struct ComputeReplies {
  std::function<void(api::v1::Outcome)> finished;
  // The answer to hand_back, unless the task ended by itself at the same time.
  std::function<void(api::v1::ReleasedLease)> handed_back;
  std::function<void(SpeedSample)> measured;  // some times a second while there is work
};

class ComputeThreads {
 public:
  ComputeThreads(ComputeOptions options, const Clock& clock, Executor& executor, ComputeReplies replies);
  ~ComputeThreads();
  ComputeThreads(const ComputeThreads&) = delete;
  ComputeThreads& operator=(const ComputeThreads&) = delete;

  // Runs the task as soon as there is a lane or, for a command, a thread.
  void start(api::v1::Lease lease);
  // Gives the task up. Its outcome may still come if it ended by itself at the same time.
  void stop(const std::string& lease);
  // Gives the task up and tells how far it came.
  void hand_back(const std::string& lease);
  // The same for a sha512 task that has had no lane yet; one that has goes on, and nothing is told.
  void hand_back_waiting(const std::string& lease);

  // Every task that has begun, as of some ten milliseconds ago.
  std::vector<HashProgress> progress() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::worker
