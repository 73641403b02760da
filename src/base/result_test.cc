// SPDX-License-Identifier: Apache-2.0
// Result carries a value or an error through SKEP_TRY; the names of codes are stable because they go over the
// wire.
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace skep {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(Code::kInvalid, "odd");
  return number / 2;
}

Result<int> quarter(int number) {
  SKEP_TRY(const int once, half(number));
  SKEP_TRY(const int twice, half(once));
  return twice;
}

Result<void> check_even(int number) {
  SKEP_TRY(half(number));
  return ok();
}

TEST(Result, TryPassesValuesOn) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_TRUE(check_even(2).has_value());
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(quarter(6).error(), fail(Code::kInvalid, "odd"));
  EXPECT_EQ(check_even(1).error().code, Code::kInvalid);
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ContextStandsBeforeTheMessage) {
  const Error error = with_context(fail(Code::kUnavailable, "disk full"), "commit shard 7");
  EXPECT_EQ(error.message, "commit shard 7: disk full");
  EXPECT_EQ(error.code, Code::kUnavailable);
}

TEST(Result, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kForbidden); ++code) {
    names.insert(code_name(static_cast<Code>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Code::kForbidden) + 1);
  EXPECT_EQ(code_name(Code::kUnknownOutcome), "unknown_outcome");
}

}  // namespace
}  // namespace skep
