// SPDX-License-Identifier: Apache-2.0
// clock_error.h - a clock that runs wrong.
//
// Threads:   value.
#pragma once

#include "base/testing/virtual_executor.h"
#include "base/time.h"

namespace skep::sim {

// How a clock differs from the true time: by what from the beginning on, and by which part of what has passed
// since.
struct ClockError {
  static constexpr Instant kStart = testing::VirtualExecutor::kStart;

  Duration offset{};
  double drift = 0;

  Instant local(Instant truth) const {
    const auto passed = static_cast<double>((truth - kStart).count());
    return truth + offset + Duration(static_cast<Duration::rep>(passed * drift));
  }
  // The first at which it shows `local`, or a moment later.
  Instant truth(Instant wanted) const {
    const auto passed = static_cast<double>((wanted - offset - kStart).count());
    Instant guess = kStart + Duration(static_cast<Duration::rep>(passed / (1 + drift)));
    while (local(guess) < wanted) guess += Duration(1);
    return guess;
  }
};

}  // namespace skep::sim
