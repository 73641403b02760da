// SPDX-License-Identifier: Apache-2.0
// virtual_executor.h - an executor and a clock over virtual time, for tests and the simulator.
//
// Work runs only inside run_next() and its relatives, in the order of its time and, at equal times, of its
// posting: the same calls give the same run. Time stands still while work runs and jumps from one event to
// the next.
//
// Threads:   one thread.
// Ownership: see executor.h. What has not run when it ends is destroyed unrun; what that posts is dropped.
// Cost:      O(log n) an event.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/executor.h"

namespace skep::testing {

class VirtualExecutor final : public Executor, public Clock {
 public:
  // Not the epoch: kNoInstant means "has not happened".
  static constexpr Instant kStart = Instant{} + std::chrono::hours(24 * 365 * 50);

  explicit VirtualExecutor(Instant start = kStart) : now_(start) {}
  ~VirtualExecutor() override {
    is_ending_ = true;
    while (!events_.empty()) events_.extract(events_.begin());
  }
  VirtualExecutor(const VirtualExecutor&) = delete;
  VirtualExecutor& operator=(const VirtualExecutor&) = delete;

  void post(UniqueFunction<void()> work) override {
    if (!is_ending_) events_.emplace(Key{now_, next_id_++}, std::move(work));
  }

  TimerId post_at(Instant when, UniqueFunction<void()> work) override {
    if (is_ending_ || when == kNever) return 0;
    const Key key{std::max(when, now_), next_id_++};
    events_.emplace(key, std::move(work));
    timers_.emplace(key.id, key.when);
    return key.id;
  }

  void cancel(TimerId timer) override {
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return;
    const Key key{found->second, timer};
    timers_.erase(found);
    // Taken out before it is freed: its captures may cancel and post as they go.
    const auto dropped = events_.extract(key);
  }

  Instant now() const override { return now_; }

  // Runs the next event, at its time. False: there is none.
  bool run_next() {
    if (events_.empty()) return false;
    auto next = events_.extract(events_.begin());
    step_to(next.key().when);
    timers_.erase(next.key().id);
    next.mapped()();
    ++ran_;
    return true;
  }

  // Runs all that is due at `end` or before, then it is `end`.
  void run_until(Instant end) {
    while (next_at() <= end && run_next()) {
    }
    now_ = std::max(now_, end);
  }
  void run_for(Duration span) { run_until(now_ + span); }
  // Runs what is due now, and what that posts for now.
  void run_ready() { run_until(now_); }

  // Nothing is waiting, timers included.
  bool is_idle() const { return events_.empty(); }
  // When the next event is due; kNever if there is none.
  Instant next_at() const { return events_.empty() ? kNever : events_.begin()->first.when; }
  std::uint64_t events_ran() const { return ran_; }

 private:
  struct Key {
    Instant when;
    TimerId id;
    auto operator<=>(const Key&) const = default;
  };
  // Far above what real work does in one instant: work that posts itself for ever shall not hang the test.
  static constexpr std::uint64_t kEventsAtOnceMax = 1'000'000;

  void step_to(Instant when) {
    if (when > now_) {
      now_ = when;
      ran_at_step_ = ran_;
    }
    SKEP_CHECK(ran_ - ran_at_step_ < kEventsAtOnceMax, "virtual time stands still: something posts for ever");
  }

  Instant now_;
  TimerId next_id_ = 1;
  std::map<Key, UniqueFunction<void()>> events_;
  std::unordered_map<TimerId, Instant> timers_;
  std::uint64_t ran_ = 0;
  std::uint64_t ran_at_step_ = 0;
  bool is_ending_ = false;
};

}  // namespace skep::testing
