// SPDX-License-Identifier: Apache-2.0
#include "scaler/caution.h"

#include <algorithm>
#include <cmath>

namespace skep::scaler {
namespace {

constexpr double kFallMax = 0.53;  // levels a step, down
constexpr double kRiseMax = 3.4;   // and up
constexpr double kAimShare = 0.9;  // of what may be late: the last tenth is for what can not be foreseen
constexpr int kMarks = 64;         // of arrivals within the time of a boot

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double kept_of(double dt, Duration memory) {
  return std::exp(-dt / in_seconds(memory));
}

}  // namespace

void Caution::observe(Instant now, std::uint64_t started, std::uint64_t queued, Duration oldest_wait,
                      const Bounds& bounds, Duration ahead) {
  const bool is_late = queued > 0 && oldest_wait > bounds.target_wait;
  const double aim = std::max(kAimShare * bounds.late_share, 1e-6);
  const double dt = at_ == kNoInstant ? 0 : in_seconds(now - at_);
  if (dt > 0) {
    const double begun = started > started_ ? static_cast<double>(started - started_) : 0;
    // Tasks start oldest first, so the head's wait before and after tells of those between.
    const double late = begun * ((is_late ? 0.5 : 0) + (was_late_ ? 0.5 : 0));
    const double kept = kept_of(dt, options_.budget_over);
    recent_.fade(kept_of(dt, options_.recent));
    budget_.fade(kept);
    recent_.all += begun;
    recent_.late += late;
    budget_.all += begun;
    budget_.late += late;
    note_burst(now, static_cast<double>(started) + static_cast<double>(queued), ahead, kept);

    const double share = is_late ? 1 : late_share();
    level_ += dt / in_seconds(options_.step) * std::clamp(share / aim - 1, -kFallMax, kRiseMax);
    level_ = std::clamp(level_, options_.least, options_.most);
    const double left = aim * budget_.all - budget_.late;
    const double unpaid = burst_ > 0 ? std::clamp(2 - left / burst_, 0.0, 1.0) : 0;
    is_unproved_ = unpaid > 0.5;
    level_ = std::max(level_, options_.least + (options_.unproved - options_.least) * unpaid);
  }
  if (dt >= 0) at_ = now;
  started_ = started;
  was_late_ = is_late;
}

void Caution::note_burst(Instant now, double arrived, Duration ahead, double kept) {
  if (arrived_.empty() || arrived < arrived_.back().second || now - arrived_.back().first >= ahead / kMarks) {
    if (!arrived_.empty() && arrived < arrived_.back().second) arrived_.clear();  // the count began anew
    arrived_.emplace_back(now, arrived);
  }
  while (arrived_.size() > 1 && arrived_[1].first <= now - ahead) arrived_.pop_front();
  burst_ = std::max(burst_ * kept, arrived - arrived_.front().second);
}

}  // namespace skep::scaler
