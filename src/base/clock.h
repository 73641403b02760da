// SPDX-License-Identifier: Apache-2.0
// clock.h - the production clock: wall time at start, monotonic from there.
//
// Threads:   any thread; immutable after construction.
#pragma once

#include "base/executor.h"

namespace skep {

class SystemClock final : public Clock {
 public:
  SystemClock();
  Instant now() const override;

 private:
  Duration offset_;  // what to add to CLOCK_BOOTTIME (it counts a suspended machine's sleep too)
};

}  // namespace skep
