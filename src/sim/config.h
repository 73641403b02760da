// SPDX-License-Identifier: Apache-2.0
// config.h - what one seed simulates: the cluster, the load, and which faults come how often.
//
// Drawn from the seed alone. Each seed has only some of the faults (swarm testing: Groce and others, 2012): a
// fault that is everywhere hides what happens without it.
//
// Threads:   value.
// Units:     gaps are mean times between two events of a kind; Duration::zero() is never.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "sim/breakage.h"
#include "sim/clock_error.h"
#include "task/id.h"

namespace skep::sim {

// The faults that are on now. All zero once the cluster is healed.
struct Faults {
  double message_lost = 0;   // of one message, in either direction
  double request_twice = 0;  // a request arrives two times
  Duration message_delay_max = milliseconds(20);
  double commit_unknown = 0;  // of one commit
  double commit_refused = 0;
  double commit_slow = 0;  // takes up to commit_slow_max
  Duration commit_slow_max = seconds(3);
  double read_refused = 0;
};

struct Config {
  std::uint64_t seed = 0;
  Breakage breakage = Breakage::kNone;

  // ---- the cluster ----
  std::uint32_t managers = 1;  // more than one share a store
  ShardId shards = 1;
  std::uint32_t workers_max = 3;      // that the scaler may start
  std::uint32_t workers_by_hand = 1;  // started by somebody else
  std::uint32_t workers_seed = 0;     // that speak the seed's protocol
  std::uint32_t slots = 1;
  std::uint32_t prefetch = 1;
  bool are_workers_children = true;  // of the manager: they die with it
  Duration lease = seconds(15);
  Duration worker_timeout = seconds(5);
  Duration visibility = seconds(30);
  Duration retention = hours(1);
  Duration acquire_wait = seconds(30);
  Duration drain_timeout = seconds(20);
  std::size_t body_cache_bytes = std::size_t{1} << 20;

  // ---- the load ----
  std::uint32_t clients = 2;
  Duration think = seconds(1);  // mean pause of a client between two operations
  std::uint32_t tasks_max = 80;
  std::uint64_t run_ms_max = 4'000;  // most tasks
  double long_run = 0;               // share of tasks that run longer than a lease
  double failing = 0;                // share of tasks that fail now and then
  double permanent = 0;              // share that fail for good
  double poison = 0;                 // share that kill their worker
  bool has_commands = false;
  bool has_pauses = false;

  // ---- the faults ----
  Duration fault_phase = seconds(90);
  Faults faults;
  Duration crash_gap{};          // of the manager
  double crash_at_step = 0;      // share of crashes that come at a counted step and not at a time
  double power_loss = 0;         // share of crashes that lose what was not synced
  double crash_in_recovery = 0;  // of one claim or load
  Duration hang_gap{};           // the manager stands still; sometimes it is replaced meanwhile
  double replaced = 0;
  Duration stop_gap{};  // the manager is stopped properly
  Duration disk_full_gap{};
  Duration partition_gap{};
  Duration worker_death_gap{};
  Duration worker_hang_gap{};
  Duration worker_drain_gap{};  // by hand, or by a signal at the worker
  double launch_faults = 0;     // how bad the provisioner is, 0 to 1
  double client_dies = 0;       // between a pull and its acknowledgement

  // ---- of several managers ----
  ClockError store_clock;
  double drift_max = 0;         // of the managers' clocks
  Duration clock_offset_max{};  // the same
  Duration pause_gap{};         // one stands still for up to pause_max
  Duration pause_max = seconds(30);
  Duration cut_gap{};         // between managers, or to the store, in one direction or both
  Duration store_away_gap{};  // it is away for a while, and what was not synced may be lost
  Duration leave_gap{};       // one leaves for a while, properly or not
  Duration rolling_gap{};     // all are restarted, one after the other
};

Config make_config(std::uint64_t seed, Breakage breakage, std::uint32_t managers = 1);

}  // namespace skep::sim
