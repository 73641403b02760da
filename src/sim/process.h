// SPDX-License-Identifier: Apache-2.0
// process.h - one simulated process: an executor that can be stopped (SIGSTOP), go on, and be killed.
//
// What is due while it is stopped runs when it goes on, in order. After kill() nothing of it ever runs.
//
// Threads:   one thread.
// Ownership: shared by what it posted; borrows the world's executor.
#pragma once

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/testing/virtual_executor.h"

namespace skep::sim {

class Process final : public Executor, public std::enable_shared_from_this<Process> {
 public:
  explicit Process(testing::VirtualExecutor& root) : root_(root) {}

  void post(UniqueFunction<void()> work) override { post_at(root_.now(), std::move(work)); }

  TimerId post_at(Instant when, UniqueFunction<void()> work) override {
    if (is_dead_ || when == kNever) return 0;
    const TimerId id = ++next_id_;
    timers_[id] = root_.post_at(when, [self = shared_from_this(), id, work = std::move(work)]() mutable {
      self->due(id, std::move(work));
    });
    return id;
  }

  void cancel(TimerId timer) override {
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return;
    const TimerId of_root = found->second;
    timers_.erase(found);
    root_.cancel(of_root);
  }

  Instant now() const override { return root_.now(); }

  void stop() { is_stopped_ = true; }
  void go_on() {
    if (!std::exchange(is_stopped_, false)) return;
    for (auto& [id, work] : std::exchange(waiting_, {})) {
      if (!timers_.contains(id)) continue;  // cancelled meanwhile
      timers_[id] =
          root_.post_at(root_.now(), [self = shared_from_this(), id, later = std::move(work)]() mutable {
            self->due(id, std::move(later));
          });
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
  void due(TimerId id, UniqueFunction<void()> work) {
    if (is_dead_) return;
    if (is_stopped_) {
      waiting_.emplace_back(id, std::move(work));
      return;
    }
    if (timers_.erase(id) > 0) work();
  }

  testing::VirtualExecutor& root_;
  TimerId next_id_ = 0;
  std::unordered_map<TimerId, TimerId> timers_;  // -> of the root
  std::vector<std::pair<TimerId, UniqueFunction<void()>>> waiting_;
  bool is_stopped_ = false;
  bool is_dead_ = false;
};

}  // namespace skep::sim
