// SPDX-License-Identifier: Apache-2.0
// policy.h - how many workers are wanted, as a pure function with a small state.
//
// (observation, state) -> (wanted size, reason in words). No clock, no thread, no I/O: the shell
// (scaler/scaler.h) passes what it saw, and `skep simulate` replays traces against the same code.
//
// Threads:   one executor at a time.
// Units:     work is in seconds of one slot; instants and durations are base/time.h types.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "scaler/objective.h"
#include "task/fleet_order.h"

namespace skep::scaler {

struct Bounds {
  std::uint32_t workers_min = 0;
  std::uint32_t workers_max = 1;
  Duration target_wait = seconds(30);
  double late_share = 0.05;                  // of the tasks may wait for longer than that
  std::uint32_t launches_minute_max = 0;     // 0: any number
  double cost_hour_max = 0;                  // 0: any
  double price_hour = 0;                     // of a worker, in the same money
  double cost_month_max = 0;                 // in a calendar month (UTC); 0: any
  std::vector<QueueObjective> objectives{};  // of queues that have their own; at most kObjectivesMax
};

// What there is of one queue with an objective of its own, or of all the others together.
struct QueueLoad {
  std::string queue;         // "": all that have none
  std::uint32_t queues = 1;  // of which something is queued: each takes its turn
  std::uint64_t queued = 0;  // and the rest as in Observation
  std::uint64_t leased = 0;
  double queued_seconds = 0;
  double leased_seconds = 0;
  double arrival_seconds = 0;
  Duration oldest_wait{};
  std::uint64_t started = 0;

  bool operator==(const QueueLoad&) const = default;
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
  std::uint64_t started = 0;   // tasks that workers ever took, since the manager's start
  std::uint32_t slots_per_worker = 1;
  std::uint32_t running = 0;  // workers heard from, not draining
  std::uint32_t idle = 0;     // of these: without a lease
  std::uint32_t draining = 0;
  std::vector<Instant> booting_ready_at;  // of each worker not yet heard from: when it is expected
  Duration boot{};                        // what workers took to come up; zero: none came up yet
  double spent_month = 0;                 // in this month, in the money of the bounds
  FleetOrder order;                       // what a person ordered; holds against all but the limits
  // The totals above by queue: one for each with an objective, and one for the rest. Empty: it is all one.
  std::vector<QueueLoad> loads;
};

struct Decision {
  std::uint32_t wanted = 0;  // running + booting, within the bounds
  std::string reason;        // one sentence with the figures it rests on
  // That the bounds allow now: beyond it also workers go that are busy.
  std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Decision decide(const Observation& seen, const Bounds& bounds) = 0;
  // With all that was learned: what it decides next is what this one would. So a decision can be made again.
  virtual std::unique_ptr<Policy> clone() const = 0;
  // What was learned is of another fleet: the next decision is as the first one.
  virtual void forget() {}
};

// Found by search on real arrivals (docs/scaling.md); each is a plain number that `skep simulate --tune`
// varies.
struct Tuning {
  double hold_s = 70;             // what is not needed is kept for so many seconds,
  double hold_growth = 1.67;      // and for so many times that with each level of caution,
  double hold_boots_min = 1.04;   // but never for fewer boots
  double wait_share = 0.52;       // of the target wait that the queue may fill before more are launched,
  double wait_caution = 0.25;     // less so much with each level of caution
  double reserve = 2.9;           // workers beyond what arrives, in mean tasks a target wait,
  double reserve_caution = 0.88;  // more so many with each level of caution,
  double reserve_share = 0.05;    // but at most half a worker or this share of them all
  double trend_share = 1.3;       // of what the trend promises is believed
  double grow_from = 0.4;         // of a worker: needed before one more is launched,
  double keep_from = 0.28;        // and before one more is kept: the dead band between them
  double caution_first = 1.9;
  double caution_unproved = 3;
};

struct DrainTimeOptions {
  Duration idle_hold = seconds(20);  // scale in only after so long without need
  Duration boot = seconds(1);        // prior for the time a worker takes to come up
  Tuning tuning;
};

// Enough workers that what waits, and what arrives while new ones boot, is started within the target wait;
// fewer only after a hold in which fewer would have done; none when nothing is there and 0 is allowed.
//
// Where four boots are shorter than the target, workers come when they are called: the wait aimed at is four
// boots, as more workers cost next to nothing, but not under an eighth of the target, and what is not needed
// goes after `idle_hold`. Where boots are longer, what will wait when a new worker could help is forecast
// from the rate of arrival and its trend, and a level of caution, learned from how many tasks started late
// (scaler/caution.h), says how much is held in reserve and for how long a worker is kept.
//
// Queues with objectives are each sized on their own, and the worst decides: the greatest size. Workers lease
// in turn among queues, by weight, so a queue gets the slots that it needs only if the fleet has those too
// that the others' turns take meanwhile: as much as their turns are worth by the time that each takes, and no
// more than they have work for.
//
// Never more workers than tasks. Work of unknown length counts as an eighth of the target wait for each task,
// and as more the longer the oldest waits. What idle workers leave in the queue for so long that none can be
// able to take it does not call for more of them. Launches a minute, cost an hour, and the most and least
// workers are applied last, and said.
std::unique_ptr<Policy> make_drain_time_policy(DrainTimeOptions options);

}  // namespace skep::scaler
