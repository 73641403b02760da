// SPDX-License-Identifier: Apache-2.0
// Goal: every part of what machines cost is a task's or the idle line's, once. Method: by hand, and random
// lives of machines.
#include "scaler/cost_ledger.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "scaler/spending.h"

namespace skep::scaler {
namespace {

constexpr Instant kBegin{hours(1'000'000)};
constexpr double kPrice = 3.6;  // an hour: a thousandth a second

TaskSpec spec_of(const std::string& queue, std::vector<std::string> tags = {}) {
  TaskSpec spec;
  spec.queue = queue;
  spec.tags = std::move(tags);
  return spec;
}
TaskId id_of(std::uint64_t sequence) {
  return {0, 1, sequence};
}
Nanos thousandths(double count) {
  return static_cast<Nanos>(count * 1e6);
}

TEST(CostLedger, ATaskPaysItsSlotAndAsMuchOverheadAgainAtMost) {
  CostLedger ledger({kPrice});
  ledger.machine_at(kBegin, "m", kBegin, 2, 0);
  ledger.machine_at(kBegin + seconds(30), "m", kBegin, 2, 1);  // 30 s of boot
  ledger.attempt_ended(kBegin + seconds(40), "m", id_of(1), spec_of("q", {"a", "b"}), 10);
  const CostSum cost = *ledger.of_task(id_of(1));
  EXPECT_EQ(cost.used, thousandths(5)) << "half of the machine for 10 s";
  EXPECT_EQ(cost.overhead, thousandths(5));
  EXPECT_EQ(ledger.total(), thousandths(40));
  EXPECT_EQ(ledger.idle(), thousandths(30));
  EXPECT_EQ(ledger.queues().at("q").all(), thousandths(10));
  EXPECT_EQ(ledger.tags().at("a").all(), thousandths(10));
  EXPECT_EQ(ledger.tags().at("b").all(), thousandths(10));
  // The next one finds overhead left.
  ledger.attempt_ended(kBegin + seconds(40), "m", id_of(2), spec_of("q"), 0.5);
  EXPECT_EQ(ledger.of_task(id_of(2))->all(), thousandths(0.5)) << "from what no slot had used";
  ledger.machine_gone(kBegin + seconds(50), "m");
  EXPECT_EQ(ledger.total(), thousandths(50));
  EXPECT_EQ(ledger.idle(), thousandths(39.5));
}

TEST(CostLedger, AttemptsOfOneTaskAddUp) {
  CostLedger ledger({kPrice});
  ledger.machine_at(kBegin, "m", kBegin, 1, 1);
  ledger.attempt_ended(kBegin + seconds(5), "m", id_of(1), spec_of("q"), 5);
  ledger.attempt_ended(kBegin + seconds(9), "m", id_of(1), spec_of("q"), 4);
  EXPECT_EQ(ledger.of_task(id_of(1))->attempts, 2u);
  EXPECT_EQ(ledger.of_task(id_of(1))->used, thousandths(9));
  EXPECT_EQ(ledger.idle(), 0);
}

TEST(CostLedger, WhatASlotDidForNobodyIsIdle) {
  CostLedger ledger({kPrice});
  ledger.machine_at(kBegin, "m", kBegin, 1, 1);
  ledger.machine_at(kBegin + seconds(60), "m", kBegin, 1, 0);  // handed back
  ledger.machine_at(kBegin + seconds(60), "m", kBegin, 1, 1);
  ledger.attempt_ended(kBegin + seconds(61), "m", id_of(1), spec_of("q"), 10);
  EXPECT_EQ(ledger.of_task(id_of(1))->used, thousandths(10)) << "it says that it ran before it was looked at";
  EXPECT_EQ(ledger.of_task(id_of(1))->overhead, thousandths(10));
}

TEST(CostLedger, MachinesOfOthersCostNothing) {
  CostLedger ledger({kPrice});
  ledger.attempt_ended(kBegin, "by hand", id_of(1), spec_of("q"), 10);
  EXPECT_EQ(ledger.total(), 0);
  EXPECT_FALSE(ledger.of_task(id_of(1)));
}

TEST(CostLedger, MemoryIsBounded) {
  CostLedger ledger({kPrice, 3, 10});
  ledger.machine_at(kBegin, "m", kBegin, 1, 1);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const Instant now = kBegin + seconds(i + 1);
    ledger.attempt_ended(now, "m", id_of(i), spec_of("q" + std::to_string(i), {"t" + std::to_string(i)}), 1);
  }
  EXPECT_FALSE(ledger.of_task(id_of(89)));
  EXPECT_TRUE(ledger.of_task(id_of(90)));
  EXPECT_EQ(ledger.queues().size(), 4u);
  EXPECT_EQ(ledger.queues().at("(others)").attempts, 97u);
  EXPECT_EQ(ledger.tags().at("(others)").all(), thousandths(97));
}

RC_GTEST_PROP(CostLedgerPromises, TasksAndIdleAreWhatMachinesCost, ()) {
  const double price = *rc::gen::inRange(1, 100'000) / 1e3;
  CostLedger ledger({price, 5, 20});
  std::map<std::string, Instant> from;
  double seconds_paid = 0;
  Instant now = kBegin;
  const auto end = [&](const std::string& name) {
    ledger.machine_gone(now, name);
    seconds_paid += std::chrono::duration<double>(now - from.at(name)).count();
    from.erase(name);
  };
  for (int step = *rc::gen::inRange(1, 200); step > 0; --step) {
    now += milliseconds(*rc::gen::inRange(0, 100'000));
    const std::string name = "m" + std::to_string(*rc::gen::inRange(0, 4));
    const int what = *rc::gen::inRange(0, 10);
    if (what < 4) {
      from.try_emplace(name, now - milliseconds(*rc::gen::inRange(0, 1'000)));
      ledger.machine_at(now, name, from.at(name), *rc::gen::inRange(0u, 9u), *rc::gen::inRange(0u, 12u));
    } else if (what < 9) {
      ledger.attempt_ended(now, name, id_of(*rc::gen::inRange(0u, 40u)),
                           spec_of("q" + std::to_string(*rc::gen::inRange(0, 8)), {"t"}),
                           *rc::gen::inRange(-1'000, 200'000) / 1e3);
    } else if (from.contains(name)) {
      end(name);
    }
    RC_ASSERT(ledger.total() == ledger.tasks().all() + ledger.idle());
    RC_ASSERT(ledger.idle() >= 0);
  }
  while (!from.empty()) end(std::string(from.begin()->first));
  const double paid = seconds_paid * price / 3'600;
  RC_ASSERT(std::abs(in_money(ledger.total()) - paid) <= 1e-6 + 1e-9 * paid);
  Nanos by_queue = 0;
  for (const auto& [name, sum] : ledger.queues()) by_queue += sum.all();
  RC_ASSERT(by_queue == ledger.tasks().all());
  const auto& tags = ledger.tags();
  if (!tags.empty()) RC_ASSERT(tags.at("t").all() == ledger.tasks().all());
}

// ---- the month's sum ----

TEST(Spending, IsStoredAboutEachMinuteAndCountsMeanwhile) {
  Spending spending("m");
  const Instant now = kBegin;
  spending.know({{}, month_of(now), 5'000'000});
  spending.count(now, 1'500'000'500);
  EXPECT_EQ(spending.spent_micros(), 6'500'000u);
  const auto first = spending.take(now, false);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->micros, 1'500'000u);
  EXPECT_EQ(spending.spent_micros(), 6'500'000u) << "under way";
  spending.know({{}, month_of(now), 6'500'000});
  spending.settle(true);
  EXPECT_EQ(spending.spent_micros(), 6'500'000u);
  spending.count(now + seconds(30), 2'500'000'000);
  EXPECT_EQ(spending.spent_micros(), 7'500'000u) << "no part is lost between two looks";
  EXPECT_FALSE(spending.take(now + seconds(59), false));
  const auto second = spending.take(now + seconds(60), false);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->from, first->until);
  spending.settle(false);
  EXPECT_EQ(spending.spent_micros(), 7'500'000u) << "it could not be stored";
}

// It may be stored: repeated as it was it is counted once.
TEST(Spending, APartThatFailedIsRepeatedAsItWas) {
  Spending spending("m");
  const Instant now = kBegin;
  spending.count(now, 1'500'000'000);
  const auto first = spending.take(now, false);
  ASSERT_TRUE(first);
  spending.settle(false);
  spending.count(now + seconds(61), 4'000'000'000);
  EXPECT_EQ(spending.spent_micros(), 4'000'000u);
  EXPECT_EQ(spending.take(now + seconds(61), false), first);
  spending.settle(true);
  const auto second = spending.take(now + seconds(61), true);
  ASSERT_TRUE(second) << "at the end at once";
  EXPECT_EQ(second->micros, 2'500'000u);
  EXPECT_EQ(second->from, first->until);
  EXPECT_GT(second->until, first->until);
}

TEST(Spending, TheStoreSaysWhichMonthItIs) {
  Spending spending("m");
  const Instant november = from_unix_ms(1'795'910'400'000);
  spending.look(november);
  EXPECT_EQ(spending.month(), "2026-11");
  spending.know({{}, "2026-11", 9'000'000});
  EXPECT_EQ(spending.spent_micros(), 9'000'000u);
  spending.look(november + hours(24 * 32));
  spending.count(november + hours(24 * 32), 2'000'000'000);
  EXPECT_EQ(spending.month(), "2026-11") << "the clock here is ahead";
  EXPECT_EQ(spending.spent_micros(), 11'000'000u);
  spending.know({{}, "2026-12", 0});
  EXPECT_EQ(spending.month(), "2026-12");
  EXPECT_EQ(spending.spent_micros(), 2'000'000u) << "what is not stored yet";
}

}  // namespace
}  // namespace skep::scaler
