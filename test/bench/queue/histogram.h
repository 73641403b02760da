// SPDX-License-Identifier: Apache-2.0
// histogram.h - durations in buckets that are a 64th of their value wide: quantiles of millions in 30 KB.
//
// Threads:   one thread; merge() when the others have ended.
// Units:     nanoseconds; what is negative counts as 0.
// Cost:      record() is a shift and an addition.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace skep::bench::queue {

class Histogram {
 public:
  void record(std::int64_t ns) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
    ++counts_[bucket(value)];
    ++count_;
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }

  // The least value that a share `q` of all are not above, at most a 64th too high; 0 if there are none.
  std::uint64_t quantile(double q) const {
    const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= rank) return std::min(last_of(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::uint64_t kParts = std::uint64_t{1} << kBits;

  // Values below kParts have a bucket each; above, each power of two has kParts of them.
  static std::size_t bucket(std::uint64_t value) {
    if (value < kParts) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return ((shift + 1) << kBits) + (value >> shift) - kParts;
  }
  static std::uint64_t last_of(std::size_t bucket) {
    if (bucket < kParts) return bucket;
    const auto shift = static_cast<unsigned>(bucket >> kBits) - 1;
    return (((bucket & (kParts - 1)) + kParts + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kParts> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace skep::bench::queue
