// SPDX-License-Identifier: Apache-2.0
// policy.h - how many workers are wanted, as a pure function with a small state.
//
// (observation, state) -> (wanted size, reason in words). No clock, no thread, no I/O: the shell
// (scaler/scaler.h) passes what it saw, and `skep simulate` will replay traces against the same code.
//
// Threads:   one executor at a time.
// Units:     work is in seconds of one slot; instants and durations are base/time.h types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"

namespace skep::scaler {

struct Bounds {
  std::uint32_t workers_min = 0;
  std::uint32_t workers_max = 1;
  Duration target_wait = seconds(30);
};

// What the policy may know. Nothing else enters a decision.
struct Observation {
  Instant now{};
  std::uint64_t queued = 0;    // tasks ready to start
  std::uint64_t leased = 0;    // tasks that workers have
  double queued_seconds = 0;   // work of the queued ones, in seconds of one slot, by learned speed
  double leased_seconds = 0;   // what is left of the leased ones, likewise
  double arrival_seconds = 0;  // work that arrives each second, smoothed
  Duration oldest_wait{};      // age of the oldest queued task
  std::uint32_t slots_per_worker = 1;
  std::uint32_t running = 0;  // workers heard from, not draining
  std::uint32_t idle = 0;     // of these: without a lease
  std::uint32_t draining = 0;
  std::vector<Instant> booting_ready_at;  // of each worker not yet heard from: when it is expected
  Duration boot{};                        // what workers took to come up; zero: none came up yet
};

struct Decision {
  std::uint32_t wanted = 0;  // running + booting, within the bounds
  std::string reason;        // one sentence with the figures it rests on
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Decision decide(const Observation& seen, const Bounds& bounds) = 0;
};

struct DrainTimeOptions {
  Duration idle_hold = seconds(20);  // scale in only after so long without need
  Duration boot = seconds(1);        // prior for the time a worker takes to come up
};

// Enough workers that what waits, and what arrives while new ones boot, is started within the target wait;
// fewer only after `idle_hold` in which fewer would have done; none when nothing is there and 0 is allowed.
//
// The wait it aims at is the target, or four boots where workers come up so fast that more of them cost next
// to nothing, but not under an eighth of the target. Never more workers than tasks. A fleet whose boot is
// long is kept for at least two boots, and for up to eight times as long where it was let go too soon before.
// Work of unknown length counts as an eighth of the target wait for each task, and as more the longer the
// oldest waits. What idle workers leave in the queue for so long that none can be able to take it does not
// call for more of them.
std::unique_ptr<Policy> make_drain_time_policy(DrainTimeOptions options);

}  // namespace skep::scaler
