// SPDX-License-Identifier: Apache-2.0
// clairvoyant.h - what a fleet would cost that knew every arrival beforehand: the bound that others are held
// to.
//
// A dynamic program over bins of 15 s (30 s for traces longer than 25 hours): the state is a whole number of
// workers and the backlog, of which only the pairs of cost and backlog are kept that none other beats in
// both. Work is a fluid; tasks are cut in chunks of a bin; what is released in a bin is done within the
// target wait and one bin, so no task waits longer than the target: where queues have their own, the longest
// of them all, which keeps it a bound, though a loose one. A boot is billed and otherwise free of
// delay; there is no least time of billing, and
// what is left when the arrivals end costs only the time in which it is done. So it is below what any policy
// without a late task can do, up to two roundings (at most 40 pairs a state, backlogs to a tenth of a
// second). A policy that is late at times may go below it.
//
// Threads:   any thread.
// Units:     seconds.
// Cost:      about 20 ms for a day and ten workers, in proportion to both.
#pragma once

#include "simulate/simulation.h"
#include "simulate/trace.h"

namespace skep::simulate {

struct Bound {
  double worker_seconds = 0;
  double late_share = 0;  // of the work: what even the maximum could not do in time
  double fleet_mean = 0;
  double boots = 0;
};

Bound clairvoyant_bound(const Trace& trace, const WorldOptions& options);

}  // namespace skep::simulate
