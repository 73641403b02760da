// SPDX-License-Identifier: Apache-2.0
// spending.h - what was spent this month: what the store knows of, and what it does not yet.
//
// Threads:   value; one executor at a time.
// Units:     money in millionths (micros) of the unit of the price.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "scaler/cost_ledger.h"

namespace skep::scaler {

// A month by its name, "2026-11" (UTC).
inline std::string month_of(Instant now) {
  return format_instant(now).substr(0, 7);
}

class Spending {
 public:
  struct Part {
    std::string month;
    std::uint64_t micros = 0;
  };

  // What the store has, of all managers.
  void know(const std::string& month, std::uint64_t micros) { stored_ = {month, micros}; }

  // `total`: what all machines cost since the start; never less than the one before.
  void observe(Instant now, Nanos total) {
    if (total >= counted_ + 1'000) {
      const Nanos micros = (total - counted_) / 1'000;
      counted_ += 1'000 * micros;
      // What is not stored when a month ends goes into the next one's: at most a minute's.
      unstored_ += static_cast<std::uint64_t>(micros);
    }
    now_ = month_of(now);
  }

  // What is to be stored now: all, each minute, or where `is_last` at once. One at a time, until settle().
  std::optional<Part> take(Instant now, bool is_last) {
    if (under_way_ || unstored_ == 0) return std::nullopt;
    if (!is_last && taken_at_ != kNoInstant && now - taken_at_ < minutes(1)) return std::nullopt;
    taken_at_ = now;
    under_way_ = Part{now_, unstored_};
    unstored_ = 0;
    return under_way_;
  }
  // What came of it: know() was told the new sum, or it is tried again.
  void settle(bool is_stored) {
    if (under_way_ && !is_stored) unstored_ += under_way_->micros;
    under_way_.reset();
  }

  // This month, as far as is known here.
  std::uint64_t spent_micros() const {
    return (stored_.month == now_ ? stored_.micros : 0) + unstored_ + (under_way_ ? under_way_->micros : 0);
  }
  const std::string& month() const { return now_; }

 private:
  Part stored_;
  std::optional<Part> under_way_;
  std::uint64_t unstored_ = 0;
  Nanos counted_ = 0;
  Instant taken_at_ = kNoInstant;
  std::string now_;
};

}  // namespace skep::scaler
