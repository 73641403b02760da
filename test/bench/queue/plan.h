// SPDX-License-Identifier: Apache-2.0
// plan.h - what one run of queue_bench does: which peer, how large, how many, how long.
//
// Threads:   value.
// Errors:    fail() ends the program: a run that went wrong has no figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/time.h"

namespace skep::bench::queue {

struct Plan {
  std::string peer;
  std::string host = "127.0.0.1";
  int port = 0;
  std::string queue;           // name of the queue, stream, tube or table: new for each run
  std::size_t body_bytes = 0;  // at least kStampBytes
  int connections = 1;
  std::size_t batch = 1;  // tasks a request
  Duration time{};        // of a phase
};

// Prints a sentence and ends the program, whatever its threads do.
[[noreturn]] void fail(const std::string& why);

}  // namespace skep::bench::queue
