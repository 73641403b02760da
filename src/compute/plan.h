// SPDX-License-Identifier: Apache-2.0
// plan.h - which kernel an engine uses for how many jobs.
//
// A vector kernel takes the same time whether its lanes are used or not, so that below some number of jobs a
// narrower kernel is faster. Where the crossovers are depends on the processor; they are measured at start.
//
// Threads:   value.
// Units:     seconds for one step, a compression in every lane.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/executor.h"
#include "compute/sha512_kernel.h"

namespace skep::compute {

struct TimedKernel {
  Kernel kernel;
  double step_seconds = 0;
};

class Plan {
 public:
  // Of kernels that were timed. At least one.
  explicit Plan(std::vector<TimedKernel> kernels);

  // The lanes that are worth filling: those of the kernel with the highest rate, the narrower one where two
  // differ by less than measurements do.
  std::size_t lanes() const { return by_jobs_.size(); }
  // The fastest for 1 to lanes() jobs: one that has a lane for each, or the one of a single lane, which then
  // takes them in turn.
  const TimedKernel& kernel_for(std::size_t jobs) const { return by_jobs_[jobs - 1]; }
  // The same with fewer lanes; more than there are changes nothing.
  Plan limited_to(std::size_t lanes) const;
  // Compressions a second of `jobs` jobs, by the measured times.
  double rate(std::size_t jobs) const {
    const TimedKernel& timed = kernel_for(jobs);
    return static_cast<double>(std::min(jobs, timed.kernel.lanes)) / timed.step_seconds;
  }

 private:
  std::vector<TimedKernel> by_jobs_;
};

// Times the kernels of the target, some 10 ms in all. The target must be one of targets_here().
Plan measure_plan(Target target, const Clock& clock);

// Only the target's widest kernel, whatever it is worth: for tests and benchmarks of it.
Plan widest_plan(Target target);

}  // namespace skep::compute
