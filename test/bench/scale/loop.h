// SPDX-License-Identifier: Apache-2.0
// loop.h - one thread that waits for sockets and for instants.
//
// Instants are kept to some microseconds: a load that is sent too late would be measured as the manager's.
//
// Threads:   the one that calls run().
// Errors:    what the system refuses ends the program, with a sentence.
// Ownership: what watches a descriptor must outlive its watching.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/time.h"

namespace skep::bench {

// Says why on standard error and ends the program with 1.
[[noreturn]] void stop_with(const std::string& why);

class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_ready(bool can_read, bool can_write) = 0;
};

class Loop {
 public:
  using Timer = std::pair<Instant, std::uint64_t>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Instant now() const { return clock_.now(); }
  Timer at(Instant instant, std::function<void()> call);
  void cancel(const Timer& timer) { timers_.erase(timer); }

  void watch(int descriptor, Watcher& watcher, bool for_writing);
  // After watch(): whether room to write is waited for too.
  void change(int descriptor, Watcher& watcher, bool for_writing);

  // Calls `after_turn` whenever what was ready and due has been seen to. Returns once stop() was called.
  void run(const std::function<void()>& after_turn);
  void stop() { is_stopped_ = true; }

 private:
  void control(int operation, int descriptor, Watcher& watcher, bool for_writing);
  void run_due();

  SystemClock clock_;
  int epoll_ = -1;
  bool is_stopped_ = false;
  std::uint64_t next_timer_ = 0;
  std::map<Timer, std::function<void()>> timers_;
};

}  // namespace skep::bench
