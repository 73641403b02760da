// SPDX-License-Identifier: Apache-2.0
// boot_times.h - how long workers took to come up: the last few, by share and by type of machine.
//
// Threads:   one executor at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

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

// What is known of the boots of one type of machine.
struct TypeBoots {
  std::string type;
  std::uint64_t count = 0;  // boots, since it became known here
  Duration p50{};           // of the last sixteen
  Duration p90{};

  bool operator==(const TypeBoots&) const = default;
};

// Of at most kTypesMax types: one more takes the place of the one that came up least lately.
class BootTimesByType {
 public:
  static constexpr std::size_t kTypesMax = 32;

  void add(const std::string& type, Duration boot) {
    all_.add(boot);
    if (!types_.contains(type) && types_.size() >= kTypesMax) {
      types_.erase(std::min_element(types_.begin(), types_.end(), [](const auto& a, const auto& b) {
        return a.second.added_at < b.second.added_at;
      }));
    }
    OneType& one = types_[type];
    one.boots.add(boot);
    ++one.count;
    one.added_at = ++added_;
  }

  bool is_empty() const { return all_.is_empty(); }
  // Of all types together, as BootTimes has it.
  Duration within(double p) const { return all_.within(p); }
  // Of one type; of all where none of that type has come up.
  Duration within(const std::string& type, double p) const {
    const auto found = types_.find(type);
    return found == types_.end() ? all_.within(p) : found->second.boots.within(p);
  }
  // By name.
  std::vector<TypeBoots> types() const {
    std::vector<TypeBoots> known;
    for (const auto& [type, one] : types_)
      known.push_back({type, one.count, one.boots.within(0.5), one.boots.within(0.9)});
    return known;
  }

 private:
  struct OneType {
    BootTimes boots;
    std::uint64_t count = 0;
    std::uint64_t added_at = 0;
  };
  BootTimes all_;
  std::map<std::string, OneType> types_;
  std::uint64_t added_ = 0;
};

}  // namespace skep::scaler
