// SPDX-License-Identifier: Apache-2.0
// run_clock.h - when one run of a task began, when it must be over, and how long it took.
//
// Threads:   value.
// Units:     base/time.h types; run_us is microseconds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "api/skep.pb.h"
#include "base/time.h"
#include "task/limits.h"

namespace skep::worker {

class RunClock {
 public:
  RunClock(const api::v1::Lease& lease, Instant start) : start_(start), timeout_(timeout_of(lease)) {}

  Instant deadline() const { return timeout_ == Duration::zero() ? kNever : add_saturated(start_, timeout_); }
  bool is_late(Instant now) const { return now >= deadline(); }

  // Fills in the time that the run took.
  void stop(api::v1::Outcome& outcome, Instant now) const {
    outcome.set_run_us(static_cast<std::uint64_t>((now - start_) / microseconds(1)));
  }
  // For the failure of a run that was late.
  std::string late_sentence() const { return "ran longer than " + format_duration(timeout_); }

 private:
  static Duration timeout_of(const api::v1::Lease& lease) {
    constexpr auto kMost = static_cast<std::uint64_t>(limits::kRunTimeoutMax / milliseconds(1));
    return milliseconds(static_cast<std::int64_t>(std::min(lease.timeout_ms(), kMost)));
  }

  Instant start_;
  Duration timeout_;  // zero: none
};

}  // namespace skep::worker
