// SPDX-License-Identifier: Apache-2.0
// wait_times.h - how long tasks waited for their lease, of the last minute.
//
// Kept as counts in classes of time, so that what several managers counted adds up, and a task costs nothing
// but an addition. A quantile is exact to its class, whose ends are a factor of 1.4 apart; inside of it the
// tasks are taken to be spread evenly.
//
// Threads:   one executor at a time.
// Units:     classes are in milliseconds: class i ends before 2^(i/2).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "api/skep.pb.h"
#include "base/time.h"

namespace skep::manager {

class WaitTimes {
 public:
  static constexpr Duration kSpan = seconds(60);
  static constexpr std::size_t kClasses = 50;  // up to 4.6 hours, and one for the rest

  void note(Instant now, Duration waited);
  void fill(Instant now, api::v1::Waits& out) const;
  // Nothing of the last minute is in it.
  bool is_empty(Instant now) const;

 private:
  static constexpr Duration kSlice = seconds(5);
  static constexpr std::size_t kSlices = kSpan / kSlice;

  struct Slice {
    std::int64_t number = -1;  // of the instants from number * kSlice on
    std::array<std::uint32_t, kClasses> counts{};
  };
  std::array<Slice, kSlices> slices_{};
};

// The same by queue. Of queues that lease nothing for a minute nothing is kept, and of more than
// limits::kQueuesMax at once only the first.
class QueueWaits {
 public:
  void note(Instant now, const std::string& queue, Duration waited);
  void fill(Instant now, const std::string& queue, api::v1::Waits& out) const;
  void drop_old(Instant now);

 private:
  std::unordered_map<std::string, WaitTimes> by_queue_;
};

// `more` added to `sum`, its quantiles computed again.
void add_waits(const api::v1::Waits& more, api::v1::Waits& sum);

}  // namespace skep::manager
