// SPDX-License-Identifier: Apache-2.0
// limits_os.h - what the operating system lets this process use: open files, processor cores.
//
// Threads:   any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep {

// Raises the limit of open files to what the system allows this user. Success: the limit that now holds.
// kUnavailable: it could not be read or raised; the old one stands.
Result<std::uint64_t> raise_open_files_limit();

// How many cores this process may keep busy: its affinity mask, cut by its cgroups' processor quota. At
// least 1.
int usable_cores();

// The processors that this process may run on, by their numbers, lowest first. Empty if the system does not
// say.
std::vector<int> allowed_cpus();

// Lets the calling thread run on that processor alone. False: the system refused, nothing changed.
bool pin_this_thread(int cpu);

// The processor quota in cores of the cgroups (version 1 or 2) of this process, the smallest on the way to
// the root. Nothing if there is none. `root` stands before /proc and /sys; "" in production.
std::optional<double> cgroup_cpu_quota(const std::string& root);

}  // namespace skep
