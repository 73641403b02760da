// SPDX-License-Identifier: Apache-2.0
// Goal: every engine keeps every sentence of fleet_store.h.
// Method: one test a sentence, run for each engine of engines.h.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/testing/virtual_executor.h"
#include "engines.h"
#include "store/fleet_store.h"

namespace skep::contract {
namespace {

constexpr Instant kNow{hours(1'000'000)};

FleetOrder order_of(std::uint32_t workers, Duration length = hours(1)) {
  return {FleetOrderKind::kSize, workers, kNow, kNow + length};
}

// The part of an account that follows on the one before.
SpendingPart part_of(std::uint64_t micros, int number = 1, const std::string& account = "em1-7") {
  return {account, kNow + seconds(number - 1), kNow + seconds(number), micros};
}

class FleetContract : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (!GetParam().why_not.empty()) GTEST_SKIP() << GetParam().why_not;
    fleet_ = open();
  }
  std::unique_ptr<store::FleetStore> open() {
    auto opened = engine_->open_fleet(clock_);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(opened.value());
  }
  static FleetRecord read(store::FleetStore& fleet) {
    auto record = fleet.read();
    EXPECT_TRUE(record) << record.error().message;
    return record ? record.value() : FleetRecord();
  }

  // The one order, and what was spent this month.
  FleetRecord record_of(const FleetOrder& order, std::uint64_t spent_micros) {
    return {order, month_, spent_micros};
  }
  bool has_own_clock() const { return GetParam().name == "postgres"; }

  skep::testing::VirtualExecutor clock_{kNow};
  const std::string month_ = month_of(has_own_clock() ? SystemClock().now() : kNow);
  std::unique_ptr<Engine> engine_ = GetParam().why_not.empty() ? GetParam().make() : nullptr;
  std::unique_ptr<store::FleetStore> fleet_;
};

TEST_P(FleetContract, IsEmptyAtFirst) {
  EXPECT_EQ(read(*fleet_), record_of({}, 0));
}

TEST_P(FleetContract, ALaterOrderTakesThePlaceOfAnEarlierOne) {
  const auto first = fleet_->set_order(order_of(4'000'000'000u));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first.value().order, order_of(4'000'000'000u));
  EXPECT_EQ(read(*fleet_).order, order_of(4'000'000'000u));
  const FleetOrder pause{FleetOrderKind::kPause, 0, kNow, kNow + minutes(5)};
  ASSERT_TRUE(fleet_->set_order(pause));
  EXPECT_EQ(read(*fleet_).order, pause);
  ASSERT_TRUE(fleet_->set_order({}));
  EXPECT_EQ(read(*fleet_), record_of({}, 0));
}

TEST_P(FleetContract, SpendingIsAddedUpWithinAMonth) {
  ASSERT_TRUE(fleet_->set_order(order_of(3)));
  ASSERT_TRUE(fleet_->add_spending(part_of(1'500'000)));
  const auto sum = fleet_->add_spending(part_of(5, 2));
  ASSERT_TRUE(sum) << sum.error().message;
  EXPECT_EQ(sum.value().spent_micros, 1'500'005u);
  EXPECT_EQ(read(*fleet_), record_of(order_of(3), 1'500'005));
}

// Nobody has to spend for it: a budget that is spent would never be whole again.
TEST_P(FleetContract, AMonthBeginsAtNothingByItself) {
  if (has_own_clock()) GTEST_SKIP() << "its clock can not be set";
  ASSERT_TRUE(fleet_->set_order(order_of(3)));
  ASSERT_TRUE(fleet_->add_spending(part_of(7)));
  clock_.run_for(hours(24 * 32));
  const std::string next = month_of(clock_.now());
  EXPECT_GT(next, month_);
  EXPECT_EQ(read(*fleet_), (FleetRecord{order_of(3), next, 0}));
  ASSERT_TRUE(fleet_->add_spending(part_of(9, 2)));
  EXPECT_EQ(read(*fleet_), (FleetRecord{order_of(3), next, 9}));
}

TEST_P(FleetContract, NoClockButTheDatabasesSaysTheMonth) {
  if (!has_own_clock()) GTEST_SKIP() << "it has none";
  clock_.run_for(hours(24 * 365));
  const auto sum = fleet_->add_spending(part_of(7));
  ASSERT_TRUE(sum) << sum.error().message;
  EXPECT_EQ(sum.value(), record_of({}, 7));
}

// Its answer was lost: whoever added it does not know.
TEST_P(FleetContract, APartThatIsWrittenAgainIsCountedOnce) {
  ASSERT_TRUE(fleet_->add_spending(part_of(10)));
  const auto again = fleet_->add_spending(part_of(10));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again.value().spent_micros, 10u);
  if (GetParam().name != "memory") fleet_ = open();
  EXPECT_EQ(fleet_->add_spending(part_of(10)).value().spent_micros, 10u);
  EXPECT_EQ(fleet_->add_spending(part_of(5, 2)).value().spent_micros, 15u);
}

// A leader whose answer was lost asks again after the next one has added.
TEST_P(FleetContract, APartIsKnownAsCountedThoughAnotherFollowed) {
  if (GetParam().name != "memory" && GetParam().name != "postgres") GTEST_SKIP() << "one manager at a time";
  const std::string account(kClusterAccount);
  for (int number = 1; number <= 31; ++number)
    ASSERT_TRUE(fleet_->add_spending(part_of(10, number, account)));
  const auto again = fleet_->add_spending(part_of(10, 1, account));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again.value().spent_micros, 310u);
  for (int number = 32; number <= 40; ++number)
    ASSERT_TRUE(fleet_->add_spending(part_of(10, number, account)));
  EXPECT_EQ(fleet_->add_spending(part_of(10, 9, account)).value().spent_micros, 400u);
  EXPECT_FALSE(fleet_->add_spending(part_of(10, 8, account))) << "it is forgotten";
}

TEST_P(FleetContract, TellsUntilWhenTheClustersMachinesAreCounted) {
  const std::string account(kClusterAccount);
  const auto first = fleet_->add_spending(part_of(10, 1, account));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first.value().counted_until, kNow + seconds(1));
  EXPECT_FALSE(fleet_->add_spending({account, kNow, kNow + seconds(9), 5}));
  EXPECT_EQ(read(*fleet_).counted_until, kNow + seconds(1));
  EXPECT_EQ(fleet_->add_spending(part_of(5, 2, account)).value().counted_until, kNow + seconds(2));
  EXPECT_EQ(fleet_->set_order(order_of(3)).value().counted_until, kNow + seconds(2));
  EXPECT_EQ(read(*fleet_).spent_micros, 15u);
}

TEST_P(FleetContract, WhatIsCountedBySomebodyElseIsRefused) {
  ASSERT_TRUE(fleet_->add_spending(part_of(10, 2)));
  SpendingPart late = part_of(3, 2);
  late.until += milliseconds(1);
  const auto refused = fleet_->add_spending(late);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFenced);
  EXPECT_EQ(read(*fleet_).spent_micros, 10u);
  late.from = part_of(3, 2).until;
  EXPECT_EQ(fleet_->add_spending(late).value().spent_micros, 13u);
}

TEST_P(FleetContract, AnotherManagerSeesWhatIsWritten) {
  if (GetParam().name == "memory") GTEST_SKIP() << "one process";
  const auto other = open();
  ASSERT_TRUE(fleet_->set_order(order_of(2)));
  ASSERT_TRUE(fleet_->add_spending(part_of(10)));
  ASSERT_TRUE(other->add_spending(part_of(20, 1, "em2-7")));
  EXPECT_EQ(read(*other), record_of(order_of(2), 30));
  EXPECT_EQ(read(*fleet_), read(*other));
}

TEST_P(FleetContract, SiblingsTakeThePlaceOfThoseBeforeAndLeaveTheRestAlone) {
  using Siblings = std::vector<std::string>;
  EXPECT_EQ(fleet_->read_siblings().value(), Siblings());
  ASSERT_TRUE(fleet_->set_order(order_of(3)));
  const Siblings siblings{"10.0.0.2:8080", "[::1]:9000"};
  const auto set = fleet_->set_siblings(siblings);
  ASSERT_TRUE(set) << set.error().message;
  if (GetParam().name == "postgres") {
    EXPECT_EQ(fleet_->read_siblings().value(), Siblings()) << "its managers know each other by it";
    return;
  }
  ASSERT_TRUE(fleet_->add_spending(part_of(5)));
  EXPECT_EQ(read(*fleet_), record_of(order_of(3), 5));
  EXPECT_EQ(fleet_->read_siblings().value(), siblings);
  ASSERT_TRUE(fleet_->set_siblings({siblings[1]}));
  EXPECT_EQ(fleet_->read_siblings().value(), Siblings{siblings[1]});
  EXPECT_EQ(read(*fleet_).order, order_of(3));
}

TEST_P(FleetContract, OutlivesThePower) {
  if (GetParam().name == "memory") GTEST_SKIP() << "keeps nothing";
  auto opened = engine_->open(1);
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE(fleet_->set_order(order_of(6)));
  ASSERT_TRUE(fleet_->add_spending(part_of(11)));
  Random random(1);
  engine_->power_off();
  opened.value().reset();
  fleet_.reset();
  engine_->power_on(random);
  fleet_ = open();
  EXPECT_EQ(read(*fleet_), record_of(order_of(6), 11));
}

INSTANTIATE_TEST_SUITE_P(Engines, FleetContract, ::testing::ValuesIn(all_engines()),
                         [](const auto& kind) { return kind.param.name; });

TEST(FleetFile, WhatIsDamagedIsReportedAndNotWrittenOver) {
  const std::string directory = TemporaryDirectory().path() + "-store";
  const SystemClock clock;
  const auto fleet = store::open_directory_fleet(directory, clock);
  ASSERT_TRUE(fleet->read());
  EXPECT_FALSE(std::filesystem::exists(directory)) << "reading makes nothing";
  ASSERT_TRUE(fleet->set_order(order_of(1)));
  const std::string path = directory + "/skep.fleet";
  std::ofstream(path, std::ios::app) << "more";
  const auto record = fleet->read();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, Code::kCorrupt);
  EXPECT_NE(record.error().message.find(path), std::string::npos);
  EXPECT_FALSE(fleet->set_order(order_of(2)));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace skep::contract
