// SPDX-License-Identifier: Apache-2.0
// worker.h - a whole worker: the lease loop with sockets, threads and a clock.
//
// One runner carries the loop (worker/lease_loop.h), compute threads run the tasks, and three links to the
// manager carry the long-poll, the heartbeats and everything else, so that none of them waits behind another.
//
// Threads:   run_worker blocks the caller's thread until the worker is done. DrainHandle: any thread.
// Errors:    kInvalid: an option is wrong, one sentence. Everything later is an exit code.
// Ownership: copies of a DrainHandle share. Nothing is left when run_worker returns: no thread, no child
//            process, no file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "base/result.h"
#include "client/client.h"
#include "compute/sha512_kernel.h"
#include "worker/executor_command.h"
#include "worker/lease_loop.h"

namespace skep::worker {

struct WorkerOptions {
  std::vector<std::string> managers;  // URLs, at least one; more are learnt from the managers' answers
  http::ClientOptions http;           // how to reach them: token, authorities
  std::uint32_t cores = 0;            // threads that compute; 0: the cores that this process may use
  std::uint32_t slots = 0;  // commands at once, and sha512 tasks, of these no more than there are lanes; 0: a
                            // task for each lane and a command for each core
  std::uint32_t prefetch = 0;             // tasks that are here beside them at most; 0: four times as many
  std::optional<compute::Target> target;  // what computes; nothing: the best that the processor has
  std::string name;                       // "": the host's
  std::string instance;                   // the provisioner's token; "" if started by hand
  Programs programs;                      // that tasks of kind command may name
  std::string command_directory;  // where commands get their working directories; "": the system's for
                                  // temporary files
  Duration orphan_timeout = minutes(10);
  // Away from `managers` for that long it ends, whoever else has work for it: a machine that they alone
  // count.
  bool is_bound = false;
  Duration drain_timeout = seconds(20);
  Duration acquire_wait = seconds(30);
  Duration checkpoint_interval = seconds(30);  // between two of one task
};

// Asks a worker to drain. A drain that is asked for before the worker runs begins when it does.
class DrainHandle {
 public:
  DrainHandle();
  void drain(DrainCause cause) const;
  // What its machine was told of its end, in words: the manager learns it.
  void note(std::string notice) const;

 private:
  friend class DrainListener;
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// Runs a worker until it is drained or orphaned. Success: the exit code of the process, see api/errors.h.
Result<int> run_worker(WorkerOptions options, const Clock& clock, Logger log, DrainHandle handle);

}  // namespace skep::worker
