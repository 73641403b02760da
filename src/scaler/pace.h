// SPDX-License-Identifier: Apache-2.0
// pace.h - how many seconds of a slot a second of estimated work really takes.
//
// Work is told by estimate, and slots that share a core are slower together than alone. Both show in the same
// place: slots were busy for so long, and so much of the estimated work is gone. The ratio corrects both.
//
// Threads:   one executor at a time.
// Units:     seconds of one slot. Input that is no number is the caller's to keep out.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/time.h"

namespace skep::scaler {

class Pace {
 public:
  // `rate`: estimated work that arrives each second; `left`: that is queued or leased; `busy`: slots at work.
  void observe(Instant now, double rate, double left, double busy) {
    const double dt = at_ == kNoInstant ? 0 : std::chrono::duration<double>(now - at_).count();
    if (dt > 0) {
      const double kept = std::exp(-dt / kMemory);
      busy_seconds_ = busy_seconds_ * kept + busy_ * dt;
      done_seconds_ = done_seconds_ * kept + rate * dt + left_ - left;
    }
    if (dt >= 0) at_ = now;
    left_ = left;
    busy_ = busy;
  }

  // 1 until some ten minutes of a slot were seen; within kMost of it either way.
  double factor() const {
    const double done = std::max(0.0, done_seconds_);
    return std::clamp((busy_seconds_ + kPrior) / (done + kPrior), 1 / kMost, kMost);
  }

 private:
  static constexpr double kMemory = 3'600;
  static constexpr double kPrior = 600;
  static constexpr double kMost = 4;

  Instant at_ = kNoInstant;
  double left_ = 0;
  double busy_ = 0;
  double busy_seconds_ = 0;
  double done_seconds_ = 0;
};

}  // namespace skep::scaler
