// SPDX-License-Identifier: Apache-2.0
// A broken invariant must end the process with its sentence, and a kept one must cost nothing: death tests.
#include "base/check.h"

#include <gtest/gtest.h>

#include <string>

namespace skep {
namespace {

TEST(CheckDeathTest, BrokenInvariantAbortsWithItsSentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(SKEP_CHECK(1 + 1 == 3, "arithmetic holds"),
               "broken invariant at .*arithmetic holds .1 \\+ 1 == 3");
}

TEST(Check, MessageIsNotMadeWhenTheConditionHolds) {
  int made = 0;
  const auto message = [&made] {
    ++made;
    return std::string("x");
  };
  SKEP_CHECK(true, message());
  EXPECT_EQ(made, 0);
}

}  // namespace
}  // namespace skep
