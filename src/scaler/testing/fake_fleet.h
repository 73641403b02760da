// SPDX-License-Identifier: Apache-2.0
// fake_fleet.h - a manager with imagined tasks and workers, for tests of the scaler.
//
// Tasks of a known length wait in one line and go to the first worker with a free slot. Workers may hang,
// after which the manager loses them, as the real one does.
//
// Threads:   one executor.
// Ownership: borrows the executor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "scaler/scaler.h"

namespace skep::scaler::testing {

class FakeFleet final : public Fleet {
 public:
  explicit FakeFleet(Executor& executor) : executor_(executor) {}
  FakeFleet(const FakeFleet&) = delete;
  FakeFleet& operator=(const FakeFleet&) = delete;

  std::uint32_t slots = 1;
  Duration worker_timeout = seconds(5);
  bool is_speed_known = true;       // else work is told as 0 until a task has finished
  std::function<void()> on_change;  // poke
  std::function<void(const std::string& instance)> on_exit;  // a drained worker is done

  void enqueue(std::uint32_t count, Duration each) {
    for (std::uint32_t i = 0; i < count; ++i) queue_.push_back({each, executor_.now()});
    arrived_ += count * std::chrono::duration<double>(each).count();
    serve();
    changed();
  }

  // The worker on `instance` comes up; "" is one started by hand. Its id.
  std::string worker_up(const std::string& instance) {
    const std::string id = "w" + std::to_string(++next_worker_);
    Worker worker;
    worker.instance = instance;
    worker.idle_since = executor_.now();
    workers_.emplace(id, std::move(worker));
    serve();
    changed();
    return id;
  }

  // Its process is no more. The manager does not know.
  void worker_down(const std::string& instance) {
    for (auto& [id, worker] : workers_) {
      if (worker.instance == instance) hang(id);
    }
  }

  void hang(const std::string& id) {
    const auto found = workers_.find(id);
    if (found == workers_.end() || found->second.hangs_since != kNever) return;
    found->second.hangs_since = executor_.now();
    for (const auto& [lease, task] : found->second.leases) executor_.cancel(task.timer);
  }

  std::size_t queued() const { return queue_.size(); }
  std::size_t done() const { return done_; }
  Duration wait_max() const { return wait_max_; }
  std::size_t drained_busy() const { return drained_busy_; }
  std::size_t size() const { return workers_.size(); }
  std::vector<std::string> running_ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, worker] : workers_) {
      if (worker.hangs_since == kNever && !worker.is_draining) ids.push_back(id);
    }
    return ids;
  }

  // ---- Fleet ----

  Observation observe() override {
    Observation seen;
    seen.now = executor_.now();
    seen.slots_per_worker = slots;
    seen.queued = queue_.size();
    const bool is_known = is_speed_known || done_ > 0;
    for (const Task& task : queue_) {
      if (is_known) seen.queued_seconds += std::chrono::duration<double>(task.length).count();
      seen.oldest_wait = std::max(seen.oldest_wait, seen.now - task.queued_at);
    }
    for (const auto& [id, worker] : workers_) {
      if (is_lost(worker)) continue;
      seen.leased += worker.leases.size();
      for (const auto& [lease, task] : worker.leases) {
        if (is_known) seen.leased_seconds += std::chrono::duration<double>(task.length).count();
      }
      if (worker.is_draining) {
        ++seen.draining;
        continue;
      }
      ++seen.running;
      if (worker.leases.empty()) ++seen.idle;
    }
    seen.started = done_ + seen.leased;
    seen.arrival_seconds = arrival_rate(seen.now);
    return seen;
  }

  std::vector<WorkerSeen> workers() override {
    std::vector<WorkerSeen> seen;
    for (auto& [id, worker] : workers_) {
      if (is_lost(worker)) give_back(worker);
      const Instant heard_at = std::min(worker.hangs_since, executor_.now());
      seen.push_back({id, worker.instance, worker.is_draining, is_lost(worker),
                      static_cast<std::uint32_t>(worker.leases.size()), heard_at,
                      worker.leases.empty() ? worker.idle_since : kNoInstant});
    }
    return seen;
  }

  void drain_worker(const std::string& id) override {
    const auto found = workers_.find(id);
    if (found == workers_.end() || found->second.is_draining) return;
    found->second.is_draining = true;
    if (!found->second.leases.empty()) ++drained_busy_;
    leave_if_drained(id);
  }

  void forget_worker(const std::string& id, const std::string&) override {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return;
    give_back(found->second);
    workers_.erase(found);
    serve();
  }

 private:
  struct Task {
    Duration length{};
    Instant queued_at{};
    TimerId timer = 0;
  };
  struct Worker {
    std::string instance;
    bool is_draining = false;
    Instant hangs_since = kNever;
    Instant idle_since = kNoInstant;
    std::map<std::uint64_t, Task> leases;
  };

  bool is_lost(const Worker& worker) const {
    return worker.hangs_since != kNever && executor_.now() - worker.hangs_since > worker_timeout;
  }

  void give_back(Worker& worker) {
    for (auto& [lease, task] : worker.leases) {
      executor_.cancel(task.timer);
      queue_.push_front(task);
    }
    worker.leases.clear();
  }

  void serve() {
    for (auto& [id, worker] : workers_) {
      if (worker.is_draining || worker.hangs_since != kNever) continue;
      while (!queue_.empty() && worker.leases.size() < slots) lease(id, worker);
    }
  }

  void lease(const std::string& id, Worker& worker) {
    Task task = queue_.front();
    queue_.pop_front();
    wait_max_ = std::max(wait_max_, executor_.now() - task.queued_at);
    const std::uint64_t number = ++next_lease_;
    task.timer = executor_.post_at(executor_.now() + task.length,
                                   [this, alive = std::weak_ptr<char>(life_), id, number] {
                                     if (!alive.expired()) finish(id, number);
                                   });
    worker.leases.emplace(number, task);
  }

  void finish(const std::string& id, std::uint64_t number) {
    const auto found = workers_.find(id);
    if (found == workers_.end() || found->second.leases.erase(number) == 0) return;
    ++done_;
    if (found->second.leases.empty()) found->second.idle_since = executor_.now();
    serve();
    changed();
    leave_if_drained(id);
  }

  void leave_if_drained(const std::string& id) {
    const auto found = workers_.find(id);
    if (found == workers_.end() || !found->second.is_draining || !found->second.leases.empty()) return;
    if (found->second.hangs_since != kNever) return;
    executor_.post_at(executor_.now() + milliseconds(10), [this, alive = std::weak_ptr<char>(life_), id] {
      if (!alive.expired()) leave(id);
    });
  }

  void leave(const std::string& id) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return;
    const std::string instance = found->second.instance;
    workers_.erase(found);
    changed();
    if (on_exit) on_exit(instance);
  }

  double arrival_rate(Instant now) {
    if (rate_at_ != kNoInstant && now - rate_at_ >= milliseconds(100)) {
      const double dt = std::chrono::duration<double>(now - rate_at_).count();
      rate_ += (1 - std::exp(-dt / 10)) * (arrived_ / dt - rate_);
      arrived_ = 0;
      rate_at_ = now;
    }
    if (rate_at_ == kNoInstant) rate_at_ = now;
    return rate_;
  }

  void changed() {
    if (on_change) on_change();
  }

  Executor& executor_;
  std::deque<Task> queue_;
  std::map<std::string, Worker> workers_;
  std::uint64_t next_worker_ = 0;
  std::uint64_t next_lease_ = 0;
  std::size_t done_ = 0;
  std::size_t drained_busy_ = 0;
  Duration wait_max_{};
  double arrived_ = 0;
  double rate_ = 0;
  Instant rate_at_ = kNoInstant;
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace skep::scaler::testing
