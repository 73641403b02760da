// SPDX-License-Identifier: Apache-2.0
// Copies are values of their own; moves are moves of a pointer.
#include "base/boxed.h"

#include <gtest/gtest.h>

#include <string>

namespace skep {
namespace {

TEST(Boxed, CopiesAreTheirOwn) {
  Boxed<std::string> first(std::string("a"));
  Boxed<std::string> second = first;
  EXPECT_TRUE(first == second);
  second->push_back('b');
  EXPECT_EQ(*first, "a");
  EXPECT_EQ(*second, "ab");
  EXPECT_FALSE(first == second);
  first = second;
  second->clear();
  EXPECT_EQ(*first, "ab");
}

TEST(Boxed, MovingLeavesTheValueWhereItIs) {
  Boxed<std::string> first(std::string("a"));
  const std::string* const place = &*first;
  const Boxed<std::string> second = std::move(first);
  EXPECT_EQ(&*second, place);
  first = std::string("c");
  EXPECT_EQ(*first, "c");
  EXPECT_EQ(*Boxed<std::string>(), "");
}

}  // namespace
}  // namespace skep
