// SPDX-License-Identifier: Apache-2.0
// The plan picks the fastest kernel for every number of jobs, and never more lanes than pay.
#include "compute/plan.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "compute/sha512_kernel.h"

namespace skep::compute {
namespace {

TimedKernel timed(std::string_view name, std::size_t lanes, double step_seconds) {
  return {{name, lanes, nullptr, nullptr}, step_seconds};
}

TEST(Plan, FewJobsGoToTheNarrowKernel) {
  const Plan plan({timed("one", 1, 1.0), timed("nine", 9, 2.5), timed("sixteen", 16, 4.0)});
  EXPECT_EQ(plan.lanes(), 16u);
  EXPECT_EQ(plan.kernel_for(1).kernel.name, "one");
  EXPECT_EQ(plan.kernel_for(2).kernel.name, "one");  // in turn: 1 a second, where "nine" does 0.8
  EXPECT_EQ(plan.kernel_for(3).kernel.name, "nine");
  EXPECT_DOUBLE_EQ(plan.rate(2), 1.0);
  EXPECT_EQ(plan.kernel_for(9).kernel.name, "nine");
  EXPECT_EQ(plan.kernel_for(10).kernel.name, "sixteen");
  EXPECT_DOUBLE_EQ(plan.rate(16), 4.0);
  EXPECT_DOUBLE_EQ(plan.rate(1), 1.0);
}

TEST(Plan, VectorThatDoesNotPayIsLeftOut) {
  const Plan plan({timed("one", 1, 1.0), timed("two", 2, 2.2)});
  EXPECT_EQ(plan.lanes(), 1u);
  EXPECT_EQ(plan.kernel_for(1).kernel.name, "one");
}

TEST(Plan, MoreLanesMustBeClearlyFaster) {
  EXPECT_EQ(Plan({timed("nine", 9, 1.0), timed("sixteen", 16, 1.75)}).lanes(), 9u);   // 1.6 % faster
  EXPECT_EQ(Plan({timed("nine", 9, 1.0), timed("sixteen", 16, 1.70)}).lanes(), 16u);  // 4.6 %
}

TEST(Plan, FasterWideKernelAlsoServesFewJobs) {
  const Plan plan({timed("one", 1, 3.0), timed("two", 2, 2.0)});
  EXPECT_EQ(plan.kernel_for(1).kernel.name, "two");
}

TEST(Plan, FewerLanesKeepTheirKernels) {
  const Plan plan({timed("one", 1, 1.0), timed("nine", 9, 2.5), timed("sixteen", 16, 4.0)});
  EXPECT_EQ(plan.limited_to(2).lanes(), 2u);
  EXPECT_EQ(plan.limited_to(2).kernel_for(2).kernel.name, "one");
  EXPECT_EQ(plan.limited_to(99).lanes(), 16u);
}

TEST(Plan, MeasuredPlanOfEveryTargetHasLanes) {
  const SystemClock clock;
  for (const Target target : targets_here()) {
    const Plan plan = measure_plan(target, clock);
    EXPECT_GE(plan.lanes(), 1u) << target_name(target);
    EXPECT_LE(plan.lanes(), kLanesMax);
  }
}

TEST(Target, NamesAreParsedBack) {
  for (const Target target : targets_here()) EXPECT_EQ(parse_target(target_name(target)), target);
  EXPECT_EQ(parse_target("mmx"), std::nullopt);
  EXPECT_EQ(parse_target(""), std::nullopt);
}

TEST(Target, ScalarRunsEverywhereAndIsLast) {
  ASSERT_FALSE(targets_here().empty());
  EXPECT_EQ(targets_here().back(), Target::kScalar);
  EXPECT_EQ(kernels(Target::kScalar).size(), 1u);
}

TEST(Target, OneOfAnotherArchitectureHasNoKernels) {
#if defined(__x86_64__)
  EXPECT_TRUE(kernels(Target::kNeon).empty());
#else
  EXPECT_TRUE(kernels(Target::kAvx2).empty());
#endif
}

}  // namespace
}  // namespace skep::compute
