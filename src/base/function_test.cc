// SPDX-License-Identifier: Apache-2.0
// UniqueFunction carries move-only state, gives results through, and frees what it holds.
#include "base/function.h"

#include <gtest/gtest.h>

#include <memory>

namespace skep {
namespace {

TEST(UniqueFunction, CarriesMoveOnlyStateAndArguments) {
  UniqueFunction<int(std::unique_ptr<int>)> add =
      [held = std::make_unique<int>(40)](std::unique_ptr<int> more) { return *held + *more; };
  UniqueFunction<int(std::unique_ptr<int>)> moved = std::move(add);
  EXPECT_EQ(moved(std::make_unique<int>(2)), 42);
}

TEST(UniqueFunction, IsEmptyUntilGivenACallable) {
  UniqueFunction<void()> nothing;
  EXPECT_FALSE(nothing);
  nothing = [] {};
  EXPECT_TRUE(nothing);
  nothing = nullptr;
  EXPECT_FALSE(nothing);
}

TEST(UniqueFunction, FreesWhatItHoldsWhenEmptied) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  UniqueFunction<void()> function = [kept = std::move(held)] {};
  EXPECT_FALSE(watch.expired());
  function = nullptr;
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace skep
