// SPDX-License-Identifier: Apache-2.0
// supervisor.h - the process between a worker and a program: it starts the program and lets nothing of it
// survive.
//
// What a program starts and leaves behind, also in a session of its own, becomes the supervisor's child, for
// it is their subreaper. When the program has ended, when the worker asks, and when the worker is dead, also
// by SIGKILL, it stops and kills all of them, waits for them, and tells what they used.
//
// It is a fork of a process that has threads, so it does nothing but system calls: no memory is allocated, no
// lock is taken. All that it needs is made before.
//
// Threads:   of the child between fork and _exit.
// Errors:    a program that could not be run is told as the system's number.
// Units:     microseconds, bytes.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace skep::worker {

// What comes through the report's pipe: one of these at the start, and one at the end.
struct SupervisorReport {
  std::int32_t problem = 0;             // errno of what kept the program from running
  std::int32_t status = 0;              // as waitpid(2) has it
  std::uint64_t cpu_us = 0;             // of all its processes
  std::uint64_t memory_peak_bytes = 0;  // of the largest of its processes
};

// Written to the control's pipe: SIGTERM for the program's group. The pipe's end: everything ends.
inline constexpr char kAskToEnd = 't';

struct SupervisorPlan {
  struct Rlimit {
    int resource = 0;
    rlimit limit{};
  };
  static constexpr std::size_t kGroupsMax = 4;
  static constexpr std::size_t kRlimitsMax = 4;

  char* const* argv = nullptr;
  char* const* environment = nullptr;
  const char* directory = nullptr;
  int input = -1;  // all of these are above the three standard descriptors
  int output = -1;
  int errors = -1;
  int control = -1;
  int report = -1;
  std::array<int, kGroupsMax> groups{-1, -1, -1, -1};  // cgroup.procs, to which the program adds itself
  int processes_max = -1;  // pids.max: set to 0 at the end, so that nothing new can be begun
  std::array<Rlimit, kRlimitsMax> rlimits{};
  std::size_t rlimits_used = 0;
  bool has_network = true;
  uid_t user = 0;  // of the worker, and so of the program
  gid_t group = 0;
  pid_t parent = -1;
  char* stack_end = nullptr;  // of a stack for the program's process until it is the program

  volatile int problem = 0;  // from that process, which shares this memory
};

[[noreturn]] void supervise(SupervisorPlan& plan);

// Whether a process without a network can be made here; 0, or the system's number that says why not.
int probe_no_network();

}  // namespace skep::worker
