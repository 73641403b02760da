// SPDX-License-Identifier: Apache-2.0
// study.h - sizings against traces, and the search for the settings of a sizing.
//
// Threads:   one executor; no state is kept.
// Units:     seconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulate/clairvoyant.h"
#include "simulate/simulation.h"
#include "simulate/sizing.h"
#include "simulate/trace.h"

namespace skep::simulate {

// A trace's tasks from one seed, with what the clairvoyant would pay for them.
struct Case {
  Trace trace;
  Bound bound;
  std::uint64_t seed = 1;
};

// One for each source and seed, the seeds from `seed` on. Errors as make_trace.
Result<std::vector<Case>> make_cases(const std::vector<TraceSource>& sources, const TraceOptions& options,
                                     const WorldOptions& world, std::uint64_t seed, std::uint32_t repeats);

Outcome run(const Case& subject, const SizingChoice& choice, const WorldOptions& world);
double cost_ratio(const Outcome& outcome, const Bound& bound);

struct TuneOptions {
  std::uint32_t trials = 60;
  double late_share_max = 0.05;  // of each case
  // Instead of the least cost: the least lateness at no more than this, in worker-seconds by the bound's.
  double cost_ratio_max = 0;
  std::uint64_t seed = 1;
};

struct Tuned {
  SizingChoice choice;
  double cost_ratio = 0;  // geometric mean over the cases
  double late_share_mean = 0;
  std::uint32_t held = 0;  // cases in which the objective was held
  std::uint32_t cases = 0;
};

// The best of `trials` settings: the usual ones first, then drawn from the parameters' ranges and, in the
// second half, from around the best so far. Better is: holds the objective in more cases, then costs less.
Tuned tune(const SizingChoice& from, const std::vector<Case>& cases, const WorldOptions& world,
           const TuneOptions& options);

}  // namespace skep::simulate
