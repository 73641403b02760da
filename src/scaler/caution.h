// SPDX-License-Identifier: Apache-2.0
// caution.h - how careful to be: one number, learned from how many tasks started late.
//
// An objective such as "95 % of the tasks start within 30 s" is a budget of tasks that may be late. The level
// rises while more are late than may be, and falls slowly while fewer are. However low it fell, it is held up
// while the budget that is left could not pay for one more burst like the largest seen: a fleet that was
// never late in its first half hour has proved nothing yet.
//
// Threads:   one executor at a time.
// Units:     the level has none: 0 is neutral, one more doubles what is held in reserve, about.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "base/time.h"
#include "scaler/policy.h"

namespace skep::scaler {

struct CautionOptions {
  double first = 1.9;  // level at the start
  double least = -1.5;
  double most = 6;
  double unproved = 3;               // the least level while one burst more would be too many
  Duration step = seconds(266);      // a level down takes twice as long, a level up a third of it at most
  Duration recent = seconds(200);    // what is late now is measured over about so long
  Duration budget_over = hours(24);  // the budget over this
};

class Caution {
 public:
  explicit Caution(CautionOptions options) : options_(options), level_(options.first) {}

  // `started`: tasks that ever started; `queued`: that wait; `oldest_wait`: of these. `ahead`: how long a new
  // worker takes to be of use, the time in which a burst can not be answered.
  void observe(Instant now, std::uint64_t started, std::uint64_t queued, Duration oldest_wait,
               const Bounds& bounds, Duration ahead);

  double level() const { return level_; }
  // Of those that started lately.
  double late_share() const { return recent_.all > 0 ? recent_.late / recent_.all : 0; }
  bool is_unproved() const { return is_unproved_; }

 private:
  struct Counts {
    double all = 0;
    double late = 0;
    void fade(double share) {
      all *= share;
      late *= share;
    }
  };
  void note_burst(Instant now, double arrived, Duration ahead, double kept);

  CautionOptions options_;
  double level_;
  bool is_unproved_ = false;
  Instant at_ = kNoInstant;
  std::uint64_t started_ = 0;
  bool was_late_ = false;  // the oldest had waited for too long when last seen
  Counts recent_;
  Counts budget_;
  double burst_ = 0;  // the most tasks that came within the time of a boot, fading with the budget
  std::deque<std::pair<Instant, double>> arrived_;
};

}  // namespace skep::scaler
