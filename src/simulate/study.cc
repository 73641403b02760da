// SPDX-License-Identifier: Apache-2.0
#include "simulate/study.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace skep::simulate {
namespace {

constexpr double kReach = 0.15;  // of a parameter's range, in which the second half looks around the best

double drawn(const Parameter& parameter, double share) {
  const bool is_log = parameter.is_log && parameter.low > 0;
  const double low = is_log ? std::log(parameter.low) : parameter.low;
  const double high = is_log ? std::log(parameter.high) : parameter.high;
  double value = low + std::clamp(share, 0.0, 1.0) * (high - low);
  if (is_log) value = std::exp(value);
  if (parameter.is_whole) return std::round(value);
  // Three figures: a setting that people read.
  const double scale = value > 0 ? std::pow(10, 2 - std::floor(std::log10(value))) : 1;
  return std::round(value * scale) / scale;
}

double place_of(const Parameter& parameter, double value) {
  const bool is_log = parameter.is_log && parameter.low > 0;
  const double low = is_log ? std::log(parameter.low) : parameter.low;
  const double high = is_log ? std::log(parameter.high) : parameter.high;
  const double at = is_log ? std::log(std::max(value, parameter.low)) : value;
  return high > low ? std::clamp((at - low) / (high - low), 0.0, 1.0) : 0;
}

Tuned measure(const SizingChoice& choice, const std::vector<Case>& cases, const WorldOptions& world,
              const TuneOptions& options) {
  Tuned result;
  result.choice = choice;
  double log_cost = 0;
  for (const Case& subject : cases) {
    const Outcome outcome = run(subject, choice, world);
    const double ratio = cost_ratio(outcome, subject.bound);
    log_cost += std::log(std::max(ratio, 1e-9));
    result.late_share_mean += outcome.late_share;
    const bool is_held =
        options.cost_ratio_max > 0
            ? ratio <= options.cost_ratio_max
            : outcome.late_share <= std::max(options.late_share_max, subject.bound.late_share);
    if (is_held && outcome.is_finished) ++result.held;
    ++result.cases;
  }
  const double count = std::max<double>(1, static_cast<double>(cases.size()));
  result.cost_ratio = std::exp(log_cost / count);
  result.late_share_mean /= count;
  return result;
}

bool is_better(const Tuned& a, const Tuned& b, const TuneOptions& options) {
  if (a.held != b.held) return a.held > b.held;
  if (options.cost_ratio_max > 0) return a.late_share_mean < b.late_share_mean;
  return a.cost_ratio < b.cost_ratio;
}

}  // namespace

Result<std::vector<Case>> make_cases(const std::vector<TraceSource>& sources, const TraceOptions& options,
                                     const WorldOptions& world, std::uint64_t seed, std::uint32_t repeats) {
  std::vector<Case> cases;
  for (const TraceSource& source : sources) {
    for (std::uint32_t i = 0; i < repeats; ++i) {
      Case subject;
      subject.seed = seed + i;
      SKEP_TRY(auto trace, make_trace(source, options, subject.seed));
      subject.trace = std::move(trace);
      subject.bound = clairvoyant_bound(subject.trace, world);
      cases.push_back(std::move(subject));
    }
  }
  return cases;
}

Outcome run(const Case& subject, const SizingChoice& choice, const WorldOptions& world) {
  Setting setting;
  setting.bounds = world.bounds;
  setting.boot = world.boot;
  setting.slots = world.slots;
  setting.service_mean_s = subject.trace.mean_service_s;
  setting.mean_load = subject.trace.mean_load;
  const std::unique_ptr<Sizing> sizing = choice.kind.make(choice.values, setting);
  return simulate(subject.trace, world, *sizing, subject.seed);
}

double cost_ratio(const Outcome& outcome, const Bound& bound) {
  return bound.worker_seconds > 0 ? outcome.worker_seconds / bound.worker_seconds : 1;
}

Tuned tune(const SizingChoice& from, const std::vector<Case>& cases, const WorldOptions& world,
           const TuneOptions& options) {
  Random random(options.seed);
  Tuned best = measure(from, cases, world, options);
  const auto& parameters = from.kind.parameters;
  for (std::uint32_t trial = 1; trial < options.trials && !parameters.empty(); ++trial) {
    SizingChoice choice = from;
    const bool is_near = trial > options.trials / 2;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const double share = random.unit();
      const double place = place_of(parameters[i], best.choice.values[i]);
      choice.values[i] = drawn(parameters[i], is_near ? place + kReach * (2 * share - 1) : share);
    }
    Tuned tried = measure(choice, cases, world, options);
    if (is_better(tried, best, options)) best = std::move(tried);
  }
  return best;
}

}  // namespace skep::simulate
