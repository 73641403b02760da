// SPDX-License-Identifier: Apache-2.0
// task_list.h - the bound for a worker: a list of tasks computed by engines alone, one for each core.
//
// The list is a file that task_list.py wrote. Its bodies are made before the clock starts; results go to a
// file after it has stopped.
//
// Threads:   starts one for each core, pinned to it, and waits for them.
#pragma once

#include <cstdint>
#include <string>

namespace skep::bench {

struct ListRun {
  double seconds = 0;  // from the first job to the last digest
  std::uint64_t tasks = 0;
  std::uint64_t hashes = 0;
  std::uint64_t compressions = 0;
  int cores = 0;
  std::string kernel;
};

// Lines of `list`: where in `pool` the body begins, its bytes, its iterations. Writes the digests to
// `results`, one a line in the list's order.
ListRun run_list(const std::string& list, const std::string& pool, const std::string& results);

}  // namespace skep::bench
