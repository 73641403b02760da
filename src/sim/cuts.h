// SPDX-License-Identifier: Apache-2.0
// cuts.h - which ways of the network are cut now, each in one direction.
//
// Threads:   value; one executor at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "base/time.h"

namespace skep::sim {

// Where messages come from and go to. Managers are the lowest numbers, by node.
using Place = std::uint32_t;
inline constexpr Place kStorePlace = 1'000;
constexpr Place client_place(std::uint32_t number) {
  return 10'000 + number;
}
constexpr Place worker_place(std::uint64_t number) {
  return static_cast<Place>(100'000 + number);
}

class Cuts {
 public:
  void cut(Place from, Place to, Instant until) {
    Instant& end = cut_until_[{from, to}];
    end = std::max(end, until);
  }
  // kNoInstant if it is not cut.
  Instant until(Place from, Place to, Instant now) const {
    const auto found = cut_until_.find({from, to});
    return found == cut_until_.end() || found->second <= now ? kNoInstant : found->second;
  }
  bool is_cut(Place from, Place to, Instant now) const { return until(from, to, now) != kNoInstant; }
  bool is_any(Instant now) const {
    return std::any_of(cut_until_.begin(), cut_until_.end(),
                       [now](const auto& item) { return item.second > now; });
  }
  void heal() { cut_until_.clear(); }

 private:
  std::map<std::pair<Place, Place>, Instant> cut_until_;
};

}  // namespace skep::sim
