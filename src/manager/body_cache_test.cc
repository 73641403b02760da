// SPDX-License-Identifier: Apache-2.0
// Goal: a body is never gone before the store has it, and never too many are kept after.
#include "manager/body_cache.h"

#include <gtest/gtest.h>

namespace skep::manager {
namespace {

constexpr std::size_t kEntry = BodyCache::kEntryBytes;

BodyCache::Blob body(std::size_t bytes) {
  return std::make_shared<const std::string>(bytes, 'x');
}
TaskId task(std::uint64_t sequence) {
  return {0, 1, sequence};
}

TEST(BodyCache, WhatIsNotStoredStaysWhateverItsSize) {
  BodyCache cache(100 + 2 * kEntry);
  for (std::uint64_t i = 1; i <= 5; ++i) cache.add(task(i), body(60));
  cache.settle(0);
  for (std::uint64_t i = 1; i <= 5; ++i) EXPECT_NE(cache.find(task(i)), nullptr);
  EXPECT_EQ(cache.bytes(), 300u + 5 * kEntry);
}

TEST(BodyCache, TheOldestOfWhatIsStoredGoesFirst) {
  BodyCache cache(100 + 2 * kEntry);
  cache.add(task(1), body(60));
  cache.add(task(2), body(60));
  const auto mark = cache.mark();
  cache.add(task(3), body(60));
  cache.settle(mark);
  EXPECT_EQ(cache.find(task(1)), nullptr);
  EXPECT_EQ(cache.find(task(2)), nullptr) << "the third one still has to stay, so this one had to go too";
  EXPECT_NE(cache.find(task(3)), nullptr);
  cache.settle(cache.mark());
  EXPECT_NE(cache.find(task(3)), nullptr);
}

TEST(BodyCache, WhatIsForgottenCountsNoMore) {
  BodyCache cache(100);
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    cache.add(task(i), body(1));
    if (i > 1) cache.forget(task(i));  // the first one stays in front
  }
  cache.forget(task(7));
  EXPECT_EQ(cache.bytes(), 1u + kEntry);
  EXPECT_NE(cache.find(task(1)), nullptr);
  cache.clear();
  EXPECT_EQ(cache.find(task(1)), nullptr);
  EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace skep::manager
