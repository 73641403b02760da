// SPDX-License-Identifier: Apache-2.0
// plans.h - every way in which this machine can compute, for tests that must hold for all of them.
//
// Threads:   pure functions.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "compute/plan.h"

namespace skep::compute {

struct NamedPlan {
  std::string name;
  Plan plan;
};
inline std::ostream& operator<<(std::ostream& out, const NamedPlan& plan) {
  return out << plan.name;
}

// Each kernel of each target alone, and each target with all of its kernels, the way a worker uses it, with
// made-up times that let every kernel have its turn.
inline std::vector<NamedPlan> plans_here() {
  std::vector<NamedPlan> out;
  for (const Target target : targets_here()) {
    std::vector<TimedKernel> all;
    for (const auto& kernel : kernels(target)) {
      const double step_seconds = 1e-6 * (1 + 0.5 * static_cast<double>(kernel.lanes));
      all.push_back({kernel, step_seconds});
      if (kernel.lanes > 1 || target == Target::kScalar) {
        out.push_back({std::string(kernel.name), Plan({all.back()})});
      }
    }
    if (all.size() > 1) out.push_back({std::string(target_name(target)) + " all", Plan(std::move(all))});
  }
  return out;
}

// For INSTANTIATE_TEST_SUITE_P.
inline std::string plan_name(const ::testing::TestParamInfo<NamedPlan>& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '+'; }, '_');
  return name;
}

}  // namespace skep::compute
