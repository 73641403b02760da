// SPDX-License-Identifier: Apache-2.0
// lines.h - the queues of a simulation: which task is next, and what a manager would see of each.
//
// Workers take from the queues in turn, from one as many in a row as it weighs, as a shard gives leases.
//
// Threads:   one executor at a time.
// Units:     seconds; estimates are seconds of one slot.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "scaler/policy.h"
#include "simulate/trace.h"
#include "simulate/waits.h"

namespace skep::simulate {

class Lines {
 public:
  Lines(const Trace& trace, const scaler::Bounds& bounds);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Of the oldest task that waits; precondition: one does.
  double oldest_s(const Trace& trace) const;

  void arrive(std::uint32_t task, std::uint32_t queue, double estimate);
  void give_back(std::uint32_t task, std::uint32_t queue, double estimate);  // to the front
  // The next task. Precondition: not empty.
  std::uint32_t take(const std::vector<float>& estimates);
  void note_wait(std::uint32_t queue, double wait_s);  // of a task that starts for the first time

  // Of each queue with an objective and of the rest; `leased` and `leased_estimates` by queue. None where no
  // queue has one. To be called once a decision, `dt_s` after the last one.
  std::vector<scaler::QueueLoad> loads(const Trace& trace, double now_s, double dt_s,
                                       const std::vector<std::uint64_t>& leased,
                                       const std::vector<double>& leased_estimates);
  std::size_t queues() const { return lines_.size(); }
  double target_s(std::uint32_t queue) const { return lines_[queue].waits.target_s(); }

  struct Figures {
    std::string queue;
    double target_s = 0;
    std::uint64_t tasks = 0;
    double wait_p50_s = 0;
    double wait_p95_s = 0;
    double late_share = 0;
  };
  // Of each queue, where the trace names some or some have objectives.
  std::vector<Figures> figures();

 private:
  struct Line {
    std::string name;
    std::uint32_t weight = 1;
    std::size_t load = 0;  // its place among the loads
    std::deque<std::uint32_t> tasks;
    double estimate = 0;  // of those that wait
    double arrived = 0;   // of those that came since the last decision
    double rate = 0;
    std::uint64_t started = 0;
    Waits waits;
  };

  std::vector<Line> lines_;
  std::vector<scaler::QueueObjective> objectives_;
  bool is_told_ = false;
  std::size_t size_ = 0;
  std::size_t turn_ = 0;         // the line that was served last,
  std::uint32_t turn_left_ = 0;  // and how many it still gets in a row
};

}  // namespace skep::simulate
