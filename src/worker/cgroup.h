// SPDX-License-Identifier: Apache-2.0
// cgroup.h - limits for all processes of one task together, where this worker may make cgroups.
//
// Version 1: a directory beside this process's in each of memory, pids and cpuacct. Version 2: this process
// moves into a cgroup of its own below the one that was delegated to it, so that others may have controllers.
//
// Threads:   CgroupPlace: immutable once made. TaskCgroup: one thread.
// Errors:    none here: has() says what can be limited; kUnavailable: one task's cgroup could not be made.
// Ownership: the destructor of a TaskCgroup removes it; its processes must have ended.
// Units:     bytes, microseconds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/descriptor.h"

namespace skep::worker {

enum class Controller : std::uint8_t { kMemory, kProcesses, kCpu };

class TaskCgroup;

class CgroupPlace {
 public:
  // Looks where cgroups can be made and tries it. `root` stands before /proc and /sys; "" in production.
  static CgroupPlace find(const std::string& root);

  bool has(Controller controller) const { return parents_.contains(controller); }
  int version() const { return version_; }  // 0: none can be made

  // A cgroup for one task, with limits where they are not 0.
  Result<TaskCgroup> make(std::uint64_t memory_bytes, std::uint32_t processes) const;

 private:
  int version_ = 0;
  std::map<Controller, std::string> parents_;  // directory that gets the tasks' cgroups
};

class TaskCgroup {
 public:
  TaskCgroup(TaskCgroup&& other) noexcept = default;
  TaskCgroup& operator=(TaskCgroup&&) = delete;
  ~TaskCgroup();

  const std::vector<int>& entries() const { return entry_numbers_; }  // cgroup.procs, open for writing
  int processes_max() const { return processes_max_.number(); }       // pids.max, the same; -1: none

  std::optional<std::uint64_t> cpu_us() const;
  // The most that all had at once, without files in memory that are still there.
  std::optional<std::uint64_t> memory_peak_bytes() const;
  bool was_out_of_memory() const;  // something was killed for it

 private:
  friend class CgroupPlace;
  TaskCgroup() = default;
  const std::string* directory(Controller controller) const;

  int version_ = 0;
  std::map<Controller, std::string> directories_;
  std::vector<Descriptor> entries_;
  std::vector<int> entry_numbers_;
  Descriptor processes_max_;
};

}  // namespace skep::worker
