// SPDX-License-Identifier: Apache-2.0
// boot_backoff.h - how long to wait with launches after boots that failed.
//
// Doubles with each failure in a row up to a maximum, at which tries go on for ever: it never gives up.
// Failures of launches that were made before the last step have its cause and do not step again, so a batch
// that fails as one counts as one.
//
// Threads:   value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "base/time.h"

namespace skep::scaler {

class BootBackoff {
 public:
  BootBackoff(Duration first, Duration max) : first_(first), max_(std::max(first, max)) {}

  // What was launched at `launched_at` failed at `now`.
  void failed(Instant now, Instant launched_at, std::string why) {
    why_ = std::move(why);
    if (in_a_row_ > 0 && launched_at <= stepped_at_) return;
    // A failure long after the last one starts a row of its own.
    if (in_a_row_ > 0 && now - until_ > 2 * max_) in_a_row_ = 0;
    ++in_a_row_;
    stepped_at_ = now;
    until_ = add_saturated(now, delay());
  }

  // What was launched at `launched_at` came up and stays: the row ends, if that was launched within it.
  void succeeded(Instant launched_at) {
    if (in_a_row_ == 0 || launched_at <= stepped_at_) return;
    in_a_row_ = 0;
    until_ = kNoInstant;
  }

  Instant until() const { return until_; }
  std::uint32_t in_a_row() const { return in_a_row_; }
  const std::string& why() const { return why_; }

 private:
  Duration delay() const {
    Duration delay = first_;
    for (std::uint32_t i = 1; i < in_a_row_ && delay < max_; ++i) delay *= 2;
    return std::min(delay, max_);
  }

  Duration first_;
  Duration max_;
  std::uint32_t in_a_row_ = 0;
  Instant stepped_at_ = kNoInstant;
  Instant until_ = kNoInstant;
  std::string why_;
};

}  // namespace skep::scaler
