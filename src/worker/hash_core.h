// SPDX-License-Identifier: Apache-2.0
// hash_core.h - the tasks of kind sha512 that one core computes: an engine, and what each of its jobs is for.
//
// Threads:   one thread at a time. Never blocks for longer than a slice, a few milliseconds.
// Ownership: owns its tasks until they end, are stopped, handed back or given away. Borrows the clock.
// Errors:    a task that can not be run is a failed outcome.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "compute/engine.h"
#include "worker/run_clock.h"

namespace skep::worker {

// A task on its way: what is left of its chain, and its lease without the body.
struct HashTask {
  api::v1::Lease lease;
  compute::Job job;
  std::optional<RunClock> run;  // since it has had a lane
};

// How far a task is that has begun.
struct HashProgress {
  std::string lease;
  compute::Checkpoint at;
};

// What came of one slice.
struct HashSlice {
  std::vector<api::v1::Outcome> outcomes;
  // What one slot of a full engine would have done in the time, whatever part of the engine was in use: the
  // speed that more tasks would find.
  double slot_compressions = 0;
  Duration busy{};
};

class HashCore {
 public:
  HashCore(std::unique_ptr<compute::Engine> engine, const Clock& clock);

  // Takes a task in. An outcome: it can not be run.
  std::optional<api::v1::Outcome> add(api::v1::Lease lease);
  // Takes in what another core gave away.
  void adopt(HashTask task);
  // The task goes to another core: one that has not begun if there is one. Nothing if there is no task.
  std::optional<HashTask> give_away();

  // Gives the task up. False: it is not here (any more).
  bool stop(const std::string& lease);
  // The same, with what the next attempt may go on from. Nothing: it is not here (any more).
  std::optional<api::v1::ReleasedLease> hand_back(const std::string& lease);

  // The same for a task that has had no lane yet. Nothing: it has, or is not here.
  std::optional<api::v1::ReleasedLease> hand_back_waiting(const std::string& lease);

  // Computes for a few milliseconds, or until nothing is left.
  HashSlice run();

  // Every task that has begun.
  std::vector<HashProgress> progress() const;
  std::size_t tasks() const { return tasks_.size(); }

 private:
  using Tasks = std::map<std::uint64_t, HashTask>;  // by the engine's key; their jobs are in the engine

  Tasks::iterator find(const std::string& lease);
  // Out of the engine and out of here.
  HashTask take(Tasks::iterator place);
  void begin_clocks(Instant start);
  void end_late(Instant now, std::vector<api::v1::Outcome>& outcomes);

  const std::unique_ptr<compute::Engine> engine_;
  const Clock& clock_;
  Tasks tasks_;
  std::uint64_t next_key_ = 0;
  std::vector<compute::JobDone> done_;
};

// The checkpoint as the protocol has it. Sets nothing if there is none.
template <class Message>
void set_checkpoint(Message& message, const compute::Checkpoint& at) {
  if (at.iterations_done == 0) return;
  message.set_iterations_done(at.iterations_done);
  message.set_checkpoint(at.digest.data(), at.digest.size());
}

}  // namespace skep::worker
