// SPDX-License-Identifier: Apache-2.0
// process.h - one simulated process: an executor that can be stopped (SIGSTOP), go on, and be killed, with a
// clock of its own that may run wrong.
//
// What is due while it is stopped runs when it goes on, in order, or what was posted before what its timers
// want. After kill() nothing of it ever runs.
//
// Threads:   one thread.
// Ownership: shared by what it posted; borrows the world's executor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/testing/virtual_executor.h"
#include "sim/clock_error.h"

namespace skep::sim {

class Process final : public Executor, public Clock, public std::enable_shared_from_this<Process> {
 public:
  explicit Process(testing::VirtualExecutor& root, ClockError clock = {}) : root_(root), clock_(clock) {}

  void post(UniqueFunction<void()> work) override { add(root_.now(), true, std::move(work)); }

  TimerId post_at(Instant when, UniqueFunction<void()> work) override {
    // What is so far away never comes, and can not be computed with.
    if (when == kNever || when - root_.now() > hours(24 * 365 * 10)) return 0;
    return add(std::max(clock_.truth(when), root_.now()), false, std::move(work));
  }

  void cancel(TimerId timer) override {
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return;
    const TimerId of_root = found->second;
    timers_.erase(found);
    root_.cancel(of_root);
  }

  // By its own clock.
  Instant now() const override { return clock_.local(root_.now()); }

  void stop() { is_stopped_ = true; }
  enum class First : std::uint8_t { kOldest, kPosted };
  void go_on(First first = First::kOldest) {
    if (!std::exchange(is_stopped_, false)) return;
    auto waiting = std::exchange(waiting_, {});
    if (first == First::kPosted)
      std::stable_partition(waiting.begin(), waiting.end(),
                            [](const Waiting& item) { return item.is_posted; });
    for (auto& item : waiting) {
      if (timers_.contains(item.id)) wait(item.id, root_.now(), item.is_posted, std::move(item.work));
    }
  }
  void kill() {
    is_dead_ = true;
    waiting_.clear();
  }

  bool is_dead() const { return is_dead_; }
  bool is_stopped() const { return is_stopped_; }
  bool runs() const { return !is_dead_ && !is_stopped_; }

 private:
  struct Waiting {
    TimerId id = 0;
    bool is_posted = false;
    UniqueFunction<void()> work;
  };

  TimerId add(Instant truth, bool is_posted, UniqueFunction<void()> work) {
    if (is_dead_) return 0;
    const TimerId id = ++next_id_;
    wait(id, truth, is_posted, std::move(work));
    return id;
  }
  void wait(TimerId id, Instant truth, bool is_posted, UniqueFunction<void()> work) {
    timers_[id] =
        root_.post_at(truth, [self = shared_from_this(), id, is_posted, later = std::move(work)]() mutable {
          self->due(id, is_posted, std::move(later));
        });
  }
  void due(TimerId id, bool is_posted, UniqueFunction<void()> work) {
    if (is_dead_) return;
    if (is_stopped_) {
      waiting_.push_back({id, is_posted, std::move(work)});
      return;
    }
    if (timers_.erase(id) > 0) work();
  }

  testing::VirtualExecutor& root_;
  const ClockError clock_;
  TimerId next_id_ = 0;
  std::unordered_map<TimerId, TimerId> timers_;  // -> of the root
  std::vector<Waiting> waiting_;
  bool is_stopped_ = false;
  bool is_dead_ = false;
};

}  // namespace skep::sim
