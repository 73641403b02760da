// SPDX-License-Identifier: Apache-2.0
#include "simulate/lines.h"

#include <algorithm>
#include <cmath>

namespace skep::simulate {
namespace {

constexpr double kRateMemory = 30;  // seconds, as the manager's

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration of_seconds(double value) {
  return Duration(static_cast<Duration::rep>(value * 1e9));
}

}  // namespace

Lines::Lines(const Trace& trace, const scaler::Bounds& bounds)
    : objectives_(bounds.objectives), is_told_(!trace.queues.empty() || !bounds.objectives.empty()) {
  std::vector<std::string> names = trace.queues;
  if (names.empty()) names.emplace_back("default");
  for (std::string& name : names) {
    const auto found = std::find_if(objectives_.begin(), objectives_.end(),
                                    [&](const auto& objective) { return objective.queue == name; });
    const bool has_own = found != objectives_.end();
    Line line{std::move(name),
              has_own ? found->weight : 1,
              static_cast<std::size_t>(found - objectives_.begin()),
              {},
              0,
              0,
              0,
              0,
              Waits(in_seconds(has_own ? found->target_wait : bounds.target_wait))};
    lines_.push_back(std::move(line));
  }
  turn_ = lines_.size() - 1;
}

double Lines::oldest_s(const Trace& trace) const {
  double oldest = 1e300;
  for (const Line& line : lines_) {
    if (!line.tasks.empty()) oldest = std::min(oldest, trace.tasks[line.tasks.front()].at_s);
  }
  return oldest;
}

void Lines::arrive(std::uint32_t task, std::uint32_t queue, double estimate) {
  Line& line = lines_[queue];
  line.arrived += estimate;
  line.estimate += estimate;
  line.tasks.push_back(task);
  ++size_;
}

void Lines::give_back(std::uint32_t task, std::uint32_t queue, double estimate) {
  Line& line = lines_[queue];
  line.estimate += estimate;
  line.tasks.push_front(task);
  ++size_;
}

std::uint32_t Lines::take(const std::vector<float>& estimates) {
  const bool goes_on = turn_left_ > 0 && !lines_[turn_].tasks.empty();
  if (goes_on) {
    --turn_left_;
  } else {
    do {
      turn_ = (turn_ + 1) % lines_.size();
    } while (lines_[turn_].tasks.empty());
    turn_left_ = lines_[turn_].weight - 1;
  }
  Line& line = lines_[turn_];
  const std::uint32_t task = line.tasks.front();
  line.tasks.pop_front();
  line.estimate -= estimates[task];
  --size_;
  return task;
}

void Lines::note_wait(std::uint32_t queue, double wait_s) {
  ++lines_[queue].started;
  lines_[queue].waits.add(wait_s);
}

std::vector<scaler::QueueLoad> Lines::loads(const Trace& trace, double now_s, double dt_s,
                                            const std::vector<std::uint64_t>& leased,
                                            const std::vector<double>& leased_estimates) {
  std::vector<scaler::QueueLoad> loads;
  if (objectives_.empty()) return loads;
  for (const auto& objective : objectives_) loads.emplace_back().queue = objective.queue;
  loads.emplace_back().queues = 0;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    Line& line = lines_[i];
    if (dt_s > 0) line.rate += -std::expm1(-dt_s / kRateMemory) * (line.arrived / dt_s - line.rate);
    line.arrived = 0;
    scaler::QueueLoad& load = loads[line.load];
    load.queued += line.tasks.size();
    load.leased += leased[i];
    load.leased_seconds += leased_estimates[i];
    load.arrival_seconds += line.rate;
    load.started += line.started;
    if (line.tasks.empty()) continue;
    load.queued_seconds += std::max(0.0, line.estimate);
    load.oldest_wait = std::max(load.oldest_wait, of_seconds(now_s - trace.tasks[line.tasks.front()].at_s));
    if (load.queue.empty()) ++load.queues;
  }
  loads.back().queues = std::max(1u, loads.back().queues);
  return loads;
}

std::vector<Lines::Figures> Lines::figures() {
  std::vector<Figures> all;
  if (!is_told_) return all;
  for (Line& line : lines_) {
    all.push_back({line.name, line.waits.target_s(), line.waits.size(), line.waits.percentile(0.5),
                   line.waits.percentile(0.95), line.waits.late_share()});
  }
  return all;
}

}  // namespace skep::simulate
