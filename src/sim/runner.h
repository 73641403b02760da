// SPDX-License-Identifier: Apache-2.0
// runner.h - many seeds, each in a child process, so that one that aborts is a finding and not the end.
//
// A broken SKEP_CHECK of the product aborts; the parent then names the seed that did it.
//
// Threads:   one thread; children by fork.
// Errors:    kInternal: no child could be started.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "sim/simulation.h"

namespace skep::sim {

// What all seeds of a set have in common.
struct Kind {
  Breakage breakage = Breakage::kNone;
  std::uint32_t managers = 1;
};

// Runs the seeds, `jobs` at a time, and hands each outcome to `use`, in the order of `seeds`. False from
// `use` ends it.
Result<void> run_seeds(const std::vector<std::uint64_t>& seeds, const Kind& kind, unsigned jobs,
                       const std::function<bool(const Outcome&)>& use);

}  // namespace skep::sim
