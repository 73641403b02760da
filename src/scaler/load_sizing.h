// SPDX-License-Identifier: Apache-2.0
// load_sizing.h - how many slots one queue's tasks need so that they start in time, and what several queues
// need together.
//
// A LoadSizing is what the policy has learned of one load: a queue with an objective of its own, or all
// others. Each decision measures every load, and share_out_work() then says what the fleet will have done of
// each by the time a new worker could help, and how many workers each needs in all: its own slots, and those
// that other queues take meanwhile. Slots go to queues as leases do, in turn, so the time of slots is shared
// by weight times the length of tasks: weighted fair queueing of a fluid.
//
// Threads:   one executor at a time.
// Units:     work is in seconds of one slot; rates are of a second.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "scaler/arrivals.h"
#include "scaler/caution.h"
#include "scaler/policy.h"

namespace skep::scaler {

// The greatest of the values pushed within a window that ends now.
class WindowMax {
 public:
  void push(Instant at, std::uint32_t value) {
    while (!falling_.empty() && falling_.back().second <= value) falling_.pop_back();
    falling_.emplace_back(at, value);
  }
  std::uint32_t since(Instant from) {
    while (falling_.size() > 1 && falling_.front().first < from) falling_.pop_front();
    return falling_.empty() ? 0 : falling_.front().second;
  }
  // When the greatest was last seen.
  Instant greatest_at() const { return falling_.empty() ? kNoInstant : falling_.front().first; }

 private:
  std::deque<std::pair<Instant, std::uint32_t>> falling_;  // each smaller and later than the one before
};

// One load in the quantities that sizes are made of. Slots are those that work fills until the wait aimed at
// has passed.
struct Demand {
  QueueLoad load;
  Duration target{};
  double aim = 0;  // the wait aimed at, seconds
  double queued_seconds = 0;
  double leased_seconds = 0;
  double rate = 0;
  double late = 1;  // how many times over the oldest wait passes what a boot explains
  bool is_guess = false;
  bool is_stalled = false;
  double turn = 1;      // seconds of slots that its turn of leases takes
  double patience = 0;  // share of the target that what waits may take of the fleet as it is
  double reserve = 0;   // slots beyond what arrives

  double ahead = 0;  // seconds until a worker launched now could help

  // Where boots are long: what is forecast for then.
  bool is_forecast = false;
  double expected = 0;      // work that arrives each second, until then
  double waiting_then = 0;  // what then waits or is being done beyond what the fleet does

  double keep_slots = 0;   // its own: would do if all were up
  double grow_slots = 0;   // needed by when a worker launched now would be up
  double tasks = 0;        // it fills no more slots
  double beside = 0;       // slots that others take while it gets those to grow by
  std::uint32_t keep = 0;  // all of that in workers
  std::uint32_t grow = 0;
};

// Whether a worker called when work waits comes too late.
bool is_slow(Duration boot, Duration target);
// `count` up to whole workers; a part below `round_up_from` is let be.
std::uint32_t whole_workers(double count, double round_up_from);
Duration of_seconds(double value);
double in_seconds(Duration duration);

class LoadSizing {
 public:
  explicit LoadSizing(const DrainTimeOptions& options);

  // `pace`: seconds of a slot that one of estimated work really takes.
  Demand measure(const Observation& seen, const QueueLoad& load, const QueueObjective& objective,
                 double late_share, double pace);
  // How long what is not needed is kept: as of the last measure().
  Duration hold() const { return hold_; }
  const Caution& caution() const { return caution_; }
  Instant busy_at() const { return busy_at_; }          // when something of it was last queued or leased
  Instant passed_over() const { return passed_over_; }  // since when idle workers leave its oldest there
  WindowMax& needs() { return needs_; }
  const WindowMax& needs() const { return needs_; }

 private:
  void learn(const Observation& seen, const QueueLoad& load, Duration target, double late_share, double pace);
  bool is_stalled(const Observation& seen, const QueueLoad& load, Duration patience);
  void measure_queue(const Observation& seen, Demand& demand) const;
  void foresee(Demand& demand) const;
  Duration hold_for(Duration target) const;

  DrainTimeOptions options_;
  Arrivals arrivals_;
  Caution caution_;
  WindowMax needs_;
  Duration boot_{};
  Duration hold_{};
  Instant busy_at_ = kNoInstant;
  Instant head_ = kNoInstant;  // when the oldest queued task was queued
  Instant passed_over_ = kNoInstant;
};

// Fills waiting_then, the slots, and the workers of each.
void share_out_work(const Observation& seen, const DrainTimeOptions& options, std::vector<Demand>& demands);

}  // namespace skep::scaler
