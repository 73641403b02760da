// SPDX-License-Identifier: Apache-2.0
#include "compute/plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace skep::compute {
namespace {

// A wider kernel holds more tasks at once and makes each of them slower: it must be faster by more than what
// two measurements of the same thing differ by.
constexpr double kClearlyFaster = 1.03;
constexpr std::uint64_t kSteps = 200;  // some 0.1 ms
constexpr int kRuns = 9;               // the fastest counts: what else runs on the machine only slows down

double rate_when_full(const TimedKernel& timed) {
  return static_cast<double>(timed.kernel.lanes) / timed.step_seconds;
}

double time_step(const Kernel& kernel, const Clock& clock) {
  LaneState state{};
  for (auto& phase : state.phase) phase = LaneState::kInChain;
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < kRuns; ++i) {
    const Instant start = clock.now();
    kernel.chain(state, kSteps);
    const double spent = std::chrono::duration<double>(clock.now() - start).count();
    best = std::min(best, spent / kSteps);
  }
  // A clock that stands still (a test's) must not make a kernel infinitely fast.
  return std::max(best, 1e-9);
}

}  // namespace

Plan::Plan(std::vector<TimedKernel> kernels) {
  SKEP_CHECK(!kernels.empty(), "a plan needs a kernel");
  std::sort(kernels.begin(), kernels.end(),
            [](const TimedKernel& a, const TimedKernel& b) { return a.kernel.lanes < b.kernel.lanes; });
  const TimedKernel* best = &kernels.front();
  for (const auto& timed : kernels) {
    if (rate_when_full(timed) > kClearlyFaster * rate_when_full(*best)) best = &timed;
  }
  for (std::size_t jobs = 1; jobs <= best->kernel.lanes; ++jobs) {
    const auto rate = [jobs](const TimedKernel& timed) {
      return static_cast<double>(std::min(jobs, timed.kernel.lanes)) / timed.step_seconds;
    };
    const TimedKernel* fastest = best;
    for (const auto& timed : kernels) {
      const bool can_serve = timed.kernel.lanes >= jobs || timed.kernel.lanes == 1;
      if (can_serve && rate(timed) > rate(*fastest)) fastest = &timed;
    }
    by_jobs_.push_back(*fastest);
  }
}

Plan Plan::limited_to(std::size_t lanes) const {
  SKEP_CHECK(lanes > 0, "an engine has at least one lane");
  Plan out = *this;
  if (lanes < out.by_jobs_.size())
    out.by_jobs_.erase(out.by_jobs_.begin() + static_cast<std::ptrdiff_t>(lanes), out.by_jobs_.end());
  return out;
}

Plan measure_plan(Target target, const Clock& clock) {
  std::vector<TimedKernel> timed;
  for (const auto& kernel : kernels(target)) timed.push_back({kernel, time_step(kernel, clock)});
  return Plan(std::move(timed));
}

Plan widest_plan(Target target) {
  auto all = kernels(target);
  SKEP_CHECK(!all.empty(), "this machine can not run the target");
  return Plan({{all.back(), 1e-6}});
}

}  // namespace skep::compute
