// SPDX-License-Identifier: Apache-2.0
// speed_meter.h - how many iterations a slot does in a second, measured over the recent past.
//
// Threads:   value; one executor at a time.
// Units:     iterations per second of time spent computing.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace skep::worker {

class SpeedMeter {
 public:
  // `iterations` took `busy` of one slot's time.
  void add(std::uint64_t iterations, Duration busy) {
    const double spent = std::chrono::duration<double>(busy).count();
    if (spent <= 0) return;
    // What is older than kMemory seconds of computing fades.
    const double kept = spent >= kMemory ? 0 : 1 - spent / kMemory;
    iterations_ = iterations_ * kept + static_cast<double>(iterations);
    seconds_ = seconds_ * kept + spent;
  }

  // 0: nothing was measured yet.
  double iterations_per_second() const { return seconds_ > 0 ? iterations_ / seconds_ : 0; }

 private:
  static constexpr double kMemory = 30;
  double iterations_ = 0;
  double seconds_ = 0;
};

}  // namespace skep::worker
