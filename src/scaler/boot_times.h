// SPDX-License-Identifier: Apache-2.0
// boot_times.h - how long workers took to come up: the last few, by share.
//
// Threads:   one executor at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "base/time.h"

namespace skep::scaler {

class BootTimes {
 public:
  void add(Duration boot) {
    last_[next_] = boot;
    next_ = (next_ + 1) % last_.size();
    count_ = std::min(count_ + 1, last_.size());
  }

  bool is_empty() const { return count_ == 0; }

  // What a share `p` of the last sixteen boots did not pass: half of them with 0.5, the slower one of two.
  // Zero of none.
  Duration within(double p) const {
    if (count_ == 0) return Duration::zero();
    std::array<Duration, kRemembered> sorted = last_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(count_);
    std::sort(sorted.begin(), end);
    const double rank = std::floor(std::clamp(p, 0.0, 1.0) * static_cast<double>(count_ - 1) + 0.5);
    return sorted[static_cast<std::size_t>(rank)];
  }

 private:
  static constexpr std::size_t kRemembered = 16;
  std::array<Duration, kRemembered> last_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

}  // namespace skep::scaler
