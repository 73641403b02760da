// SPDX-License-Identifier: Apache-2.0
// simulation.h - one trace against one sizing, by discrete events over the reconciler that the manager runs.
//
// Tasks wait in a line for each queue, which take turns, and start on the worker that was busy last (so that
// idle time gathers on few). A worker has slots that share its speed, boots, may fail to boot, may be taken
// away with a notice, is drained, and is billed by the second from launch to end. The reconciler's launches,
// drains and terminations are carried out as a provider would, with its limits.
//
// Threads:   one executor; each run owns all it needs.
// Units:     seconds, seconds of one slot, slots; money is in the unit of `price_hour`.
// Cost:      about 0.1 us an event; a task is three. 100,000 tasks in a day with ten workers: below 0.3 s.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "scaler/policy.h"
#include "simulate/lines.h"
#include "simulate/sizing.h"
#include "simulate/trace.h"

namespace skep::simulate {

struct WorldOptions {
  scaler::Bounds bounds{2, 10, seconds(30)};
  Duration boot = seconds(45);
  double boot_spread = 0.1;        // a boot takes this share more or less, evenly: nearly the same each time
  double boot_failure_share = 0;   // of launches that never come up
  double interruptions_hour = 0;   // of each machine: how often a provider takes it away
  Duration notice = seconds(120);  // before it does
  std::uint32_t launches_minute_max = 0;  // that the provider allows; 0: any number
  std::uint32_t capacity_max = 0;         // machines that the provider has; 0: any number
  Duration billed_min = minutes(1);
  double price_hour = 0.1;  // of one machine
  std::uint32_t slots = 1;
  double slot_gain = 1;  // what each further busy slot adds, in slots: 1: a core of its own, 0.5: half of one
  std::vector<double> speeds{1};  // machines come in these, evenly: seconds of one slot done in a second
  double estimate_noise = 0.2;    // standard deviation of the logarithm of estimate by truth
  double estimate_bias = 1;       // all estimates are so many times the truth
  bool wants_series = false;      // for the picture
  Duration tick{};                // between skep's own decisions; zero: as it is compared with others
};

// One bin of the picture.
struct Sample {
  double at_s = 0;
  double load = 0;  // work that arrived, in slots
  double running = 0;
  double booting = 0;
  double backlog_s = 0;   // of work waiting, in seconds of one slot, at the end of the bin
  double wait_p95_s = 0;  // of the tasks that started in it
};

struct Outcome {
  std::uint64_t tasks = 0;
  double wait_p50_s = 0;
  double wait_p95_s = 0;
  double wait_p99_s = 0;
  double late_share = 0;      // of tasks that waited longer than the target of their queue
  double worker_seconds = 0;  // billed
  double cost = 0;
  double fleet_mean = 0;           // machines that ran or booted
  std::uint64_t scale_events = 0;  // machines launched and machines told to go, each one
  std::uint64_t launches = 0;
  std::uint64_t stops = 0;
  std::uint64_t boot_failures = 0;
  std::uint64_t refused = 0;  // launches that the provider refused
  std::uint64_t interruptions = 0;
  std::uint64_t restarted = 0;  // tasks that had to begin again
  double end_s = 0;
  bool is_finished = true;             // false: given up with tasks still waiting, long after the trace's end
  std::vector<Lines::Figures> queues;  // where the trace names some, or some have objectives
  std::vector<Sample> series;
  std::vector<std::pair<double, std::string>> reasons;  // of changes, the last few hundred
};

Outcome simulate(const Trace& trace, const WorldOptions& options, Sizing& sizing, std::uint64_t seed);

}  // namespace skep::simulate
