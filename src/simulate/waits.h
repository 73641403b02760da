// SPDX-License-Identifier: Apache-2.0
// waits.h - how long tasks waited: percentiles, and the share that waited too long.
//
// Threads:   value.
// Units:     seconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace skep::simulate {

class Waits {
 public:
  explicit Waits(double target_s) : target_s_(target_s) {}

  void add(double wait_s) { add(wait_s, target_s_); }
  // One that has another target.
  void add(double wait_s, double target_s) {
    waits_.push_back(static_cast<float>(wait_s));
    if (wait_s > target_s) ++late_;
  }
  void clear() {
    waits_.clear();
    late_ = 0;
  }

  // The least wait that a share `p` of all does not pass; 0 of none. Sorts what was added.
  double percentile(double p) {
    if (waits_.empty()) return 0;
    const auto size = static_cast<double>(waits_.size());
    const auto rank = static_cast<std::size_t>(std::clamp(std::ceil(p * size) - 1, 0.0, size - 1));
    std::nth_element(waits_.begin(), waits_.begin() + static_cast<std::ptrdiff_t>(rank), waits_.end());
    return waits_[rank];
  }
  double target_s() const { return target_s_; }
  std::uint64_t size() const { return waits_.size(); }
  double late_share() const {
    return waits_.empty() ? 0 : static_cast<double>(late_) / static_cast<double>(waits_.size());
  }

 private:
  double target_s_;
  std::vector<float> waits_;
  std::uint64_t late_ = 0;
};

}  // namespace skep::simulate
