// SPDX-License-Identifier: Apache-2.0
// Goal: a body that is damaged, lost or doubled on its way ends the program with a sentence.
// Method: bodies as the drivers get them, and counts as the lanes keep them, each with one mistake.
#include "bodies.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace skep::bench::queue {
namespace {

constexpr std::size_t kBytes = 100;

std::string body_of(const Pool& pool, std::uint64_t number) {
  std::string out(pool.body_bytes(), '\0');
  pool.write(number, out);
  return out;
}

void expect_end(const std::function<void()>& call, const std::string& why) {
  EXPECT_EXIT(call(), ::testing::ExitedWithCode(1), why);
}

TEST(Bodies, BodySaysItsNumberAndIsNotLikeAnother) {
  const Pool pool(kBytes);
  EXPECT_EQ(pool.check(body_of(pool, 7)), 7u);
  EXPECT_EQ(pool.check(body_of(pool, std::uint64_t{5} << 40)), std::uint64_t{5} << 40);
  EXPECT_NE(body_of(pool, 7).substr(kStampBytes), body_of(pool, 8).substr(kStampBytes));
}

TEST(Bodies, DamagedBodyEndsTheProgram) {
  const Pool pool(kBytes);
  std::string body = body_of(pool, 7);
  body.back() ^= 1;
  expect_end([&] { pool.check(body); }, "other bytes");
  body = body_of(pool, 7);
  body.front() ^= 1;
  expect_end([&] { pool.check(body); }, "other bytes");
  expect_end([&] { pool.check(body_of(pool, 7).substr(1)); }, "a body of 99 bytes");
}

TEST(Bodies, LedgerIsContentInAnyOrder) {
  Ledger ledger;
  ledger.enqueued(2, Ledger::hash(1) + Ledger::hash(2));
  EXPECT_EQ(ledger.open(), 2u);
  ledger.completed(1, Ledger::hash(2));
  EXPECT_EQ(ledger.open(), 1u);
  ledger.completed(1, Ledger::hash(1));
  EXPECT_EQ(ledger.open(), 0u);
  ledger.check_all_done();
}

TEST(Bodies, LostOrDoubledTaskEndsTheProgram) {
  Ledger lost, doubled;
  lost.enqueued(2, Ledger::hash(1) + Ledger::hash(2));
  lost.completed(1, Ledger::hash(1));
  expect_end([&] { lost.check_all_done(); }, "2 tasks were enqueued, 1 completed");
  doubled.enqueued(2, Ledger::hash(1) + Ledger::hash(2));
  doubled.completed(2, 2 * Ledger::hash(1));
  expect_end([&] { doubled.check_all_done(); }, "other tasks");
}

}  // namespace
}  // namespace skep::bench::queue
