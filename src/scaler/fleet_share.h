// SPDX-License-Identifier: Apache-2.0
// fleet_share.h - one fleet made of the parts of several managers: the sum that is decided on, and the shares
// that come of the decision.
//
// A part is what one manager has: its shards, the workers registered with it, the instances of its
// provisioner. The leader adds them up, lets the policy decide, and shares the size out; each manager then
// sees to its own share.
//
// Threads:   values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scaler/policy.h"
#include "scaler/reconciler.h"

namespace skep::scaler {

struct FleetPart {
  std::string address;  // HOST:PORT of the manager
  std::string provisioner;
  bool can_launch = false;   // it has a provisioner that starts workers, and does not stop
  bool is_failing = false;   // its launches fail, or wait because they did
  std::string held_because;  // why it has fewer than it should, in words; "" if that is not so
  Observation seen;
  Bounds bounds;
  FleetCounts counts;
  std::vector<TypeBoots> boots;  // of its provisioner's machines
  std::uint32_t own = 0;         // instances of its provisioner that run or boot
  std::uint32_t own_idle = 0;    // of these: without a lease
  std::uint32_t others = 0;      // workers of use that something else started
  std::uint32_t room = 0;        // how many more it may launch
  std::uint32_t share = 0;       // what it was told to have last
  bool is_silent = false;        // it is as it last was
  Duration silence{};
};

// What the policy is to decide on, as one manager that had it all would see it.
Observation whole_observation(Instant now, const std::vector<FleetPart>& parts);
// The sums of those that can launch, and the shortest target among them; where none can, the first's. A limit
// that only some have holds for all; the month's spending is kept for all together, so the lowest budget
// counts. The objectives of queues are those of all parts: of a queue that several name, the shortest wait
// and the greatest weight.
Bounds whole_bounds(const std::vector<FleetPart>& parts);
FleetCounts whole_counts(const std::vector<FleetPart>& parts);

// How many instances of its own provisioner each part shall have so that `wanted` workers run, in the order
// of the parts. What is there, or was asked for and can still come, stays where it is; more go to parts with
// room, the emptiest first, to those whose launches fail only after all others, and to silent ones never.
// Fewer: those not started yet, then where idle ones are, then where most are. No part gets less than its
// minimum, as far as it has room, unless `wanted` is less than all minimums together: an order or a budget.
std::vector<std::uint32_t> share_out(std::uint32_t wanted, const std::vector<FleetPart>& parts);

}  // namespace skep::scaler
