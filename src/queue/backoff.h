// SPDX-License-Identifier: Apache-2.0
// backoff.h - how long a task waits after a failed attempt.
//
// Doubling from kBackoffFirst to kBackoffMax, then a uniform draw from its upper half ("equal jitter",
// Brooker, Exponential Backoff and Jitter, AWS 2015): spread out, but never at once.
//
// Threads:   any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "task/limits.h"

namespace skep::queue {

// `failures`: attempts that have failed, from 1.
inline Duration backoff(std::uint32_t failures, Random& random) {
  const std::uint32_t doublings = std::min(failures - 1, 20u);
  const Duration full =
      std::min(limits::kBackoffFirst * (std::int64_t{1} << doublings), Duration(limits::kBackoffMax));
  return full / 2 +
         Duration(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(full.count() / 2 + 1))));
}

}  // namespace skep::queue
