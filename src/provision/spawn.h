// SPDX-License-Identifier: Apache-2.0
// spawn.h - starts one child process that dies with its parent and inherits nothing but its output and at
// most one descriptor more.
//
// The child leads a process group of its own, reads from /dev/null, has the default signal handlers, and gets
// SIGTERM when the thread that started it ends, which also happens when its process is killed.
//
// Threads:   any thread that lives for as long as the child shall.
// Errors:    kUnavailable (no descriptors, memory or processes left, the log file), kInvalid (the program
//            cannot be run): each one sentence.
// Ownership: the caller reaps the child and closes the descriptor.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace skep::provision {

struct SpawnPlan {
  std::vector<std::string> command;  // path of the program, then its arguments
  std::string log_file;              // what it prints is appended here; "": it inherits stdout and stderr
  int inherited = -1;                // a descriptor that it keeps, under the same number
};

struct Spawned {
  pid_t pid = -1;
  int descriptor = -1;  // a pidfd: readable once the child has ended
};

// Returns when the child runs the program, or could not.
Result<Spawned> spawn(const SpawnPlan& plan);

// Waits for the ended child behind `descriptor`, ends what is left of its process group and closes
// `descriptor`. How it ended: "exit code 1", "killed by signal 9".
std::string reap(const Spawned& child);

}  // namespace skep::provision
