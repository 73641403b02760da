// SPDX-License-Identifier: Apache-2.0
// arrivals.h - what is learned of the work that arrives: how much, how it changes, in what lumps.
//
// Three means over different times: of half a minute (as it is told; of three mean tasks, if that is longer),
// of one minute (or six tasks), and of five; and the trend of the first. What comes while a worker boots is
// forecast from them.
//
// Threads:   one executor at a time.
// Units:     seconds of one slot; rates are of a second. Input that is no number counts as 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/time.h"

namespace skep::scaler {

class Arrivals {
 public:
  // `rate`: work that arrives each second, smoothed over half a minute. `tasks`: that ever arrived.
  void observe(Instant now, double rate, std::uint64_t tasks) {
    const double dt = at_ == kNoInstant ? 0 : std::chrono::duration<double>(now - at_).count();
    if (dt > 0) {
      const double came = tasks > tasks_ ? static_cast<double>(tasks - tasks_) : 0;
      lasting_ += weight(dt, std::max(kLastingMemory, 6 * task_seconds())) * (rate - lasting_);
      work_ += weight(dt, kTaskMemory) * (rate - work_);
      count_ += weight(dt, kTaskMemory) * (came / dt - count_);
    }
    if (dt >= 0) at_ = now;
    const double more = memory() - kTold;
    const double before = rate_;
    rate_ = more > 0 && dt > 0 ? rate_ + weight(dt, more) * (rate - rate_) : rate;
    if (dt > 0) trend_ += weight(dt, kTrendMemory) * ((rate_ - before) / dt - trend_);
    tasks_ = tasks;
  }

  // The rate to reckon with until `ahead` seconds from now. What one burst explains is taken off first: it is
  // in the queue already, and counting it as a rate too would pay for it twice.
  double expected(double ahead, double trend_share) const {
    const double noise = std::sqrt(lasting_ * task_seconds() / memory());
    const double sure = std::max(0.0, rate_ - noise);
    const double rising = sure + trend_share * std::max(0.0, trend_ * ahead - noise);
    return std::max(std::min(2 * sure + 1, rising), std::min(lasting_, 1.5 * sure));
  }

  // The rate that has lasted for about a minute.
  double lasting() const { return std::min(lasting_, rate_); }
  double task_seconds() const { return count_ > 1e-9 ? work_ / count_ : 0; }

 private:
  static constexpr double kTrendMemory = 120;
  static constexpr double kLastingMemory = 60;
  static constexpr double kTaskMemory = 300;
  static constexpr double kTold = 30;
  // Of the rate: of few long tasks it takes longer to tell.
  double memory() const { return std::max(kTold, 3 * task_seconds()); }
  static double weight(double dt, double memory) { return -std::expm1(-dt / memory); }

  Instant at_ = kNoInstant;
  double rate_ = 0;
  double trend_ = 0;
  double lasting_ = 0;
  double work_ = 0;
  double count_ = 0;
  std::uint64_t tasks_ = 0;
};

}  // namespace skep::scaler
