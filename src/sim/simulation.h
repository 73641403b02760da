// SPDX-License-Identifier: Apache-2.0
// simulation.h - one seed: a cluster under load and faults, then healed, then audited.
//
// The run: faults for a while (a random set of them), then none. Then everything must come to rest within a
// bound, the fleet must be gone, and after one more restart the disk must say the same.
//
// Threads:   one thread.
#pragma once

#include <cstdint>
#include <string>

#include "sim/config.h"
#include "sim/trace.h"

namespace skep::sim {

struct Outcome {
  std::uint64_t seed = 0;
  std::string invariant;  // "" if all held
  std::string sentence;
  std::string trace;  // its tail, or all of it
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;  // that the executor ran
  Duration virtual_time{};
  Counters counters;

  bool is_clean() const { return invariant.empty(); }
};

enum class TraceKept : std::uint8_t { kTail, kAll };

Outcome simulate(std::uint64_t seed, Breakage breakage, std::uint32_t managers,
                 TraceKept kept = TraceKept::kTail);

}  // namespace skep::sim
