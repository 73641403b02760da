// SPDX-License-Identifier: Apache-2.0
// runner.h - the three phases of a run, the same for every peer: one thread for each connection.
//
//   cycle     each connection enqueues, leases as many and completes them, again and again
//   enqueue   each connection enqueues
//   drain     each connection leases and completes what the second phase left
// A phase has its time, or ends when it has nothing more to do. Every body that comes back is checked, and
// that all came back: what the time did not suffice for is drained unmeasured, quickly.
//
// Threads:   the calling thread and those that it starts, one for each connection.
// Errors:    a task lost, doubled or damaged ends the program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "driver.h"
#include "histogram.h"
#include "plan.h"

namespace skep::bench::queue {

struct PhaseResult {
  std::string phase;
  std::uint64_t tasks = 0;    // completed; in the phase enqueue, enqueued
  std::uint64_t refused = 0;  // requests that the server said "not now" to
  double seconds = 0;         // from the start to the last answer
  double driver_cpu_s = 0;
  Histogram enqueue, lease, complete;  // of each request
  Histogram round;                     // of all the requests of a cycle or of a drain; else as enqueue
};

// Called when all connections of a phase stand and nothing has been sent: returns when it may begin.
using Ready = std::function<void(const std::string& phase)>;
using Done = std::function<void(const PhaseResult& result)>;

void run_plan(const Peer& peer, const Plan& plan, const Ready& ready, const Done& done);

}  // namespace skep::bench::queue
