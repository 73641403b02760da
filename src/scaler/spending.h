// SPDX-License-Identifier: Apache-2.0
// spending.h - what was spent this month: what the store knows of, and what it does not yet.
//
// Which month it is the store says, by its own clock; as long as it has said nothing, the clock here.
//
// Threads:   value; one executor at a time.
// Units:     money in millionths (micros) of the unit of the price.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "scaler/cost_ledger.h"
#include "task/fleet_order.h"

namespace skep::scaler {

class Spending {
 public:
  // The account that is added to.
  explicit Spending(std::string account) : account_(std::move(account)) {}

  // What the store has, of all managers.
  void know(const FleetRecord& record) {
    stored_month_ = record.month;
    stored_micros_ = record.spent_micros;
    counted_until_ = record.counted_until;
  }
  // Of the cluster's account: where the store's part of it ends.
  Instant counted_until() const { return counted_until_; }

  // What is counted from now on follows on that. Only if nothing is left to be stored, and not where the
  // store had refused to go on from before.
  bool can_begin() const { return !part_ && unstored_ == 0 && counted_until_ != refused_from_; }
  void begin() { taken_until_ = counted_until_; }

  void look(Instant now) { own_month_ = month_of(now); }
  // `total`: what all machines cost until `now`, since the start; less than the one before only by refuse().
  void count(Instant now, Nanos total) {
    counted_at_ = now;
    if (total >= counted_ + 1'000) {
      const Nanos micros = (total - counted_) / 1'000;
      counted_ += 1'000 * micros;
      // What is not stored when a month ends goes into the next one's: a minute's, or for how long the store
      // was away. So a budget is kept rather too well.
      unstored_ += static_cast<std::uint64_t>(micros);
    }
  }

  // What is to be stored now: all, each minute, or where `is_last` at once. One at a time, until settle() or
  // refuse(). One that failed comes again after 5 s, as it was: perhaps it is stored.
  std::optional<SpendingPart> take(Instant now, bool is_last) {
    if (is_under_way_ || (!part_ && unstored_ == 0)) return std::nullopt;
    const Duration pause = part_ ? seconds(5) : is_last ? Duration::zero() : minutes(1);
    if (taken_at_ != kNoInstant && now - taken_at_ < pause) return std::nullopt;
    taken_at_ = now;
    if (!part_) {
      const Instant until = std::max(from_unix_ms(to_unix_ms(counted_at_)), taken_until_ + milliseconds(1));
      part_ = SpendingPart{account_, taken_until_, until, std::exchange(unstored_, 0)};
      taken_until_ = until;
    }
    is_under_way_ = true;
    return part_;
  }
  // What came of it: know() was told the new sum, or it is tried again.
  void settle(bool is_stored) {
    is_under_way_ = false;
    if (!is_stored) return;
    stored_ += 1'000 * static_cast<Nanos>(part_->micros);
    part_.reset();
  }
  // The store took it from another manager. What it has not is given back, which leaves `total`.
  Nanos unstored(Nanos total) const { return total - stored_; }
  void refuse(Nanos total) {
    is_under_way_ = false;
    refused_from_ = part_->from;
    part_.reset();
    unstored_ = 0;
    counted_ = stored_ = total;
  }

  // This month, as far as is known here.
  std::uint64_t spent_micros() const { return stored_micros_ + unstored_ + (part_ ? part_->micros : 0); }
  const std::string& month() const { return stored_month_.empty() ? own_month_ : stored_month_; }

 private:
  const std::string account_;
  std::string stored_month_;
  std::uint64_t stored_micros_ = 0;
  std::optional<SpendingPart> part_;  // that is not known to be stored
  bool is_under_way_ = false;
  Nanos stored_ = 0;  // of counted_
  Instant counted_until_ = kNoInstant;
  Instant counted_at_ = kNoInstant;
  Instant refused_from_ = kNever;
  Instant taken_until_ = kNoInstant;
  std::uint64_t unstored_ = 0;
  Nanos counted_ = 0;
  Instant taken_at_ = kNoInstant;
  std::string own_month_;
};

}  // namespace skep::scaler
