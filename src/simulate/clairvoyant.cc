// SPDX-License-Identifier: Apache-2.0
#include "simulate/clairvoyant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace skep::simulate {
namespace {

constexpr std::size_t kPointsMax = 40;
constexpr double kRounding = 0.1;
constexpr double kLatePrice = 1'000;  // worker-seconds for a second of work that is late: never worth it

// A way to have come so far.
struct Point {
  double price = 0;  // cost, and lateness by its price
  double backlog = 0;
  double cost = 0;
  double late = 0;
  double boots = 0;
};
// Cheapest first; each further one has less backlog.
using Frontier = std::vector<Point>;

void keep_if_better(Frontier& frontier, const Point& point) {
  if (!frontier.empty() && point.backlog > frontier.back().backlog - kRounding) return;
  frontier.push_back(point);
}

// Both are in order of price.
Frontier merge(const Frontier& a, const Frontier& b, double boot) {
  Frontier out;
  out.reserve(a.size() + b.size());
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() || right != b.end()) {
    if (right == b.end() || (left != a.end() && left->price <= right->price + boot)) {
      keep_if_better(out, *left++);
    } else {
      Point point = *right++;
      point.price += boot;
      point.cost += boot;
      if (boot > 0) point.boots += 1;
      keep_if_better(out, point);
    }
  }
  return out;
}

void thin(Frontier& frontier) {
  if (frontier.size() <= kPointsMax) return;
  const double step = static_cast<double>(frontier.size() - 1) / (kPointsMax - 1);
  for (std::size_t i = 0; i < kPointsMax; ++i) {
    frontier[i] = frontier[static_cast<std::size_t>(std::lround(static_cast<double>(i) * step))];
  }
  frontier.resize(kPointsMax);
}

// The work released in each bin, with empty bins behind it in which the last of it may be done.
std::vector<double> released(const Trace& trace, double bin_s, std::size_t patience) {
  std::vector<double> work(static_cast<std::size_t>(trace.span_s / bin_s) + 1, 0.0);
  for (const Arrival& task : trace.tasks) {
    auto bin = static_cast<std::size_t>(task.at_s / bin_s);
    for (double left = task.service_s; left > 0; left -= bin_s, ++bin) {
      if (bin >= work.size()) work.resize(bin + 1, 0.0);
      work[bin] += std::min(left, bin_s);
    }
  }
  while (!work.empty() && work.back() <= 0 && static_cast<double>(work.size()) * bin_s > trace.span_s)
    work.pop_back();
  work.resize(work.size() + patience, 0.0);
  return work;
}

struct Step {
  double bin_s = 0;
  double boot_s = 0;
  double slots = 1;  // that one worker is worth
  std::uint32_t least = 0;
};

// `billed_s`: of the bin, until arrivals end; what is left over then costs only the time in which it is done.
void advance(std::vector<Frontier>& states, const Step& step, double work, double backlog_max,
             double billed_s) {
  const std::size_t count = states.size();
  std::vector<Frontier> up(count);
  for (std::size_t n = 0; n < count; ++n) {
    up[n] = n == 0 ? states[n] : merge(states[n], up[n - 1], step.boot_s);
  }
  for (std::size_t n = count - 1; n-- > 0;) states[n] = merge(states[n], states[n + 1], 0);
  for (std::size_t n = 0; n < count; ++n) {
    const Frontier reached = merge(up[n], states[n], 0);
    const double workers = static_cast<double>(n + step.least);
    Frontier next;
    std::vector<Point> moved(reached);
    for (Point& point : moved) {
      const double done_s =
          std::min(step.bin_s, (point.backlog + work) / std::max(1e-9, workers * step.slots));
      const double paid = workers * std::max(billed_s, done_s);
      point.backlog = std::max(0.0, point.backlog + work - workers * step.slots * step.bin_s);
      const double late = std::max(0.0, point.backlog - backlog_max);
      point.backlog -= late;
      point.late += late;
      point.cost += paid;
      point.price += paid + late * kLatePrice;
    }
    // Lateness may have turned the order around.
    std::sort(moved.begin(), moved.end(), [](const Point& a, const Point& b) { return a.price < b.price; });
    for (const Point& point : moved) keep_if_better(next, point);
    thin(next);
    up[n] = std::move(next);
  }
  states = std::move(up);
}

// Seconds: of the queues that the trace has.
double longest_target(const Trace& trace, const WorldOptions& options) {
  const scaler::Bounds& bounds = options.bounds;
  std::vector<std::string> queues = trace.queues;
  if (queues.empty()) queues.emplace_back("default");
  Duration longest{};
  for (const std::string& queue : queues) {
    const auto found = std::find_if(bounds.objectives.begin(), bounds.objectives.end(),
                                    [&](const auto& objective) { return objective.queue == queue; });
    longest = std::max(longest, found == bounds.objectives.end() ? bounds.target_wait : found->target_wait);
  }
  return std::chrono::duration<double>(longest).count();
}

}  // namespace

Bound clairvoyant_bound(const Trace& trace, const WorldOptions& options) {
  Step step;
  step.bin_s = trace.span_s > 25 * 3600 ? 30 : 15;
  step.boot_s = std::chrono::duration<double>(options.boot).count();
  const double speed = std::accumulate(options.speeds.begin(), options.speeds.end(), 0.0) /
                       static_cast<double>(options.speeds.size());
  step.slots = speed * (1 + options.slot_gain * (options.slots - 1));
  step.least = options.bounds.workers_min;
  const auto patience =
      static_cast<std::size_t>(std::ceil((longest_target(trace, options) + step.bin_s) / step.bin_s));
  const std::vector<double> work = released(trace, step.bin_s, patience);

  const auto sizes = std::max(options.bounds.workers_max, step.least) - step.least + 1;
  std::vector<Frontier> states(sizes);
  states[0].push_back({});
  double backlog_max = 0;
  for (std::size_t bin = 0; bin < work.size(); ++bin) {
    backlog_max += work[bin] - (bin >= patience ? work[bin - patience] : 0);
    const double billed_s = std::clamp(trace.span_s - static_cast<double>(bin) * step.bin_s, 0.0, step.bin_s);
    advance(states, step, work[bin], std::max(0.0, backlog_max), billed_s);
  }

  Point best;
  best.price = std::numeric_limits<double>::infinity();
  for (const Frontier& frontier : states) {
    for (const Point& point : frontier) {
      if (point.price < best.price) best = point;
    }
  }
  const double total = std::accumulate(work.begin(), work.end(), 0.0);
  Bound bound;
  bound.worker_seconds = best.cost;
  bound.late_share = total > 0 ? best.late / total : 0;
  bound.fleet_mean = best.cost / std::max(1.0, trace.span_s);
  bound.boots = best.boots;
  return bound;
}

}  // namespace skep::simulate
