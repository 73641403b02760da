// SPDX-License-Identifier: Apache-2.0
// child_process.h - a program under a supervisor: its output readable, its end waited for, nothing of it
// left.
//
// The child gets its input as a file, an environment and a directory as given, limits, default signals, no
// core dumps and no descriptor of this process beside 0, 1 and 2. It and all that it starts die with the
// thread that started it, also where that is killed (worker/supervisor.h).
//
// Threads:   one thread, the one that started it.
// Errors:    start: kUnavailable, a sentence with the system's reason; nothing is left behind.
// Ownership: the destructor ends the child and all that it started, and waits for them. Groups of
//            `ChildSpec` are borrowed for the call.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "worker/descriptor.h"
#include "worker/supervisor.h"

namespace skep::worker {

struct ChildSpec {
  std::vector<std::string> argv;         // argv[0] is the path of the program
  std::vector<std::string> environment;  // NAME=VALUE
  std::string directory;
  std::string_view input;
  std::vector<SupervisorPlan::Rlimit> rlimits = {};  // at most SupervisorPlan::kRlimitsMax
  std::vector<int> groups = {};                      // cgroup.procs open for writing, at most kGroupsMax
  int processes_max = -1;                            // pids.max of them, open for writing; -1: none
  bool has_network = true;
};

class ChildProcess {
 public:
  static Result<ChildProcess> start(const ChildSpec& spec);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  const Descriptor& output() const { return output_; }      // not blocking
  const Descriptor& errors() const { return errors_; }      // not blocking
  int exit_descriptor() const { return report_.number(); }  // readable once nothing of the child runs

  // Sends SIGTERM to the child's group.
  void ask_to_end();

  // Ends what is left of the child, waits for it and returns its status as waitpid(2) does. Idempotent.
  int finish();
  // What all its processes used; after finish().
  std::uint64_t cpu_us() const { return end_.cpu_us; }
  std::uint64_t memory_peak_bytes() const { return end_.memory_peak_bytes; }  // of the largest of them

 private:
  ChildProcess() = default;

  pid_t pid_ = -1;  // of the supervisor
  Descriptor output_;
  Descriptor errors_;
  Descriptor control_;
  Descriptor report_;
  bool is_finished_ = false;
  SupervisorReport end_;
};

}  // namespace skep::worker
