// SPDX-License-Identifier: Apache-2.0
// tally.h - a histogram that one thread keeps, for what happens too often to pay for an atomic each time.
//
// An observation is a search among some twenty bounds and three additions. It is shown with the metrics of
// base/metrics.h when somebody asks for them.
//
// Threads:   one at a time.
// Units:     those of the bounds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace skep {

class Tally {
 public:
  // `bounds`: the upper bounds of the buckets, rising, each inclusive; one more for the rest is added.
  explicit Tally(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value) {
    const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
    ++count_;
    sum_ += value;
  }

  const std::vector<double>& bounds() const { return bounds_; }
  // How many were in each bucket alone; the last is the rest.
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace skep
