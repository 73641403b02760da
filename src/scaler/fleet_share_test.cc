// SPDX-License-Identifier: Apache-2.0
// Goal: a size that is decided on for the whole becomes shares that start and stop as few workers as
// possible, each where that is possible. Method: parts made up by the test; random ones against the promises.
#include "scaler/fleet_share.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

namespace skep::scaler {
namespace {

using Shares = std::vector<std::uint32_t>;

// `own` workers of its own, `idle` of them without a lease, at most `most`.
FleetPart part(std::uint32_t own, std::uint32_t most, std::uint32_t idle = 0) {
  FleetPart part;
  part.can_launch = most > 0;
  part.own = part.share = own;
  part.own_idle = idle;
  part.room = most - own;
  part.bounds.workers_max = most;
  return part;
}

TEST(FleetShare, MoreGoWhereFewestAre) {
  EXPECT_EQ(share_out(6, {part(0, 4), part(0, 4), part(0, 4)}), (Shares{2, 2, 2}));
  EXPECT_EQ(share_out(5, {part(3, 4), part(0, 4), part(0, 1)}), (Shares{3, 1, 1}));
  EXPECT_EQ(share_out(9, {part(3, 4), part(0, 2), part(0, 1)}), (Shares{4, 2, 1}));
}

TEST(FleetShare, AManagerWithoutAProvisionerGetsNone) {
  EXPECT_EQ(share_out(3, {part(0, 0), part(0, 4)}), (Shares{0, 3}));
  EXPECT_EQ(share_out(3, {part(0, 0), part(0, 0)}), (Shares{0, 0}));
}

TEST(FleetShare, WorkersThatSomethingElseStartedCountForTheWhole) {
  auto first = part(0, 4);
  first.others = 2;
  EXPECT_EQ(share_out(5, {first, part(0, 4)}), (Shares{2, 1}));
}

TEST(FleetShare, WhatWasAskedForIsNotAskedOfAnotherTheNextTime) {
  // The first was told to have three and has not answered since.
  auto first = part(0, 4);
  first.share = 3;
  EXPECT_EQ(share_out(3, {first, part(0, 4)}), (Shares{3, 0}));
  EXPECT_EQ(share_out(4, {first, part(0, 4)}), (Shares{3, 1}));
  // Before it starts them they cost nothing to take back.
  EXPECT_EQ(share_out(1, {first, part(1, 4, 1)}), (Shares{0, 1}));
}

TEST(FleetShare, LimitsOfSomeHoldForAll) {
  auto none = part(0, 0);  // the leader launches nothing, and so its limits are none of theirs
  none.bounds.cost_month_max = 1;
  auto first = part(0, 4);
  first.bounds.launches_minute_max = 3;
  first.bounds.cost_hour_max = 2;
  first.bounds.cost_month_max = 100;
  first.bounds.price_hour = 0.1;
  auto second = part(0, 6);
  second.bounds.cost_month_max = 50;
  second.bounds.price_hour = 0.2;
  const Bounds whole = whole_bounds({none, second, first, part(0, 1)});
  EXPECT_EQ(whole.workers_max, 11u);
  EXPECT_EQ(whole.launches_minute_max, 3u);
  EXPECT_EQ(whole.cost_hour_max, 2);
  EXPECT_EQ(whole.cost_month_max, 50);
  EXPECT_EQ(whole.price_hour, 0.2);
}

TEST(FleetShare, WhereLaunchesFailOthersDoIt) {
  auto broken = part(1, 4);
  broken.share = 3;
  broken.is_failing = true;
  EXPECT_EQ(share_out(4, {broken, part(0, 4)}), (Shares{1, 3}));
  // It is tried where nobody else has room.
  EXPECT_EQ(share_out(6, {broken, part(0, 4)}), (Shares{2, 4}));
}

TEST(FleetShare, WhoIsSilentIsCountedAndGetsNoMore) {
  auto silent = part(2, 4);
  silent.is_silent = true;
  EXPECT_EQ(share_out(7, {silent, part(0, 4)}), (Shares{2, 4}));
}

TEST(FleetShare, FewerAreTakenWhereTheyAreIdle) {
  EXPECT_EQ(share_out(4, {part(3, 4, 0), part(2, 4, 1)}), (Shares{3, 1}));
  EXPECT_EQ(share_out(3, {part(3, 4, 0), part(2, 4, 1)}), (Shares{2, 1}));
  EXPECT_EQ(share_out(0, {part(3, 4, 3), part(2, 4, 2)}), (Shares{0, 0}));
}

TEST(FleetShare, NoPartGetsLessThanItsMinimum) {
  auto first = part(0, 4);
  first.bounds.workers_min = 2;
  EXPECT_EQ(share_out(2, {first, part(3, 4, 3)}), (Shares{2, 0}));
}

TEST(FleetShare, TheWholeIsTheSumOfItsParts) {
  auto first = part(1, 4);
  first.seen.queued = 3;
  first.seen.running = 1;
  first.seen.slots_per_worker = 8;
  first.seen.oldest_wait = seconds(2);
  first.bounds.target_wait = seconds(30);
  first.bounds.workers_min = 1;
  auto second = part(2, 2);
  second.seen.queued = 4;
  second.seen.running = 3;
  second.seen.slots_per_worker = 4;
  second.seen.oldest_wait = seconds(5);
  second.bounds.target_wait = seconds(10);
  auto none = part(0, 0);
  none.seen.queued = 1;
  none.bounds = {7, 70, seconds(1)};
  const auto whole = whole_observation(Instant(seconds(9)), {first, second, none});
  EXPECT_EQ(whole.now, Instant(seconds(9)));
  EXPECT_EQ(whole.queued, 8u);
  EXPECT_EQ(whole.running, 4u);
  EXPECT_EQ(whole.slots_per_worker, 5u);
  EXPECT_EQ(whole.oldest_wait, seconds(5));
  const auto bounds = whole_bounds({none, first, second});
  EXPECT_EQ(bounds.workers_min, 1u);
  EXPECT_EQ(bounds.workers_max, 6u);
  EXPECT_EQ(bounds.target_wait, seconds(10));
  EXPECT_EQ(whole_bounds({none}).workers_max, 70u);
}

TEST(FleetShare, LoadsOfQueuesAreAddedByNameAndTheRestIsTheRest) {
  auto first = part(1, 4);
  first.seen.loads = {{"urgent", 1, 3, 1, 6}, {"", 2, 10}};
  first.bounds.objectives = {{"urgent", seconds(5), 2}};
  auto second = part(2, 2);
  second.seen.loads = {{"other", 1, 7}, {"urgent", 1, 2, 1, 4}, {"", 5, 20}};
  second.bounds.objectives = {{"other", seconds(60), 1}, {"urgent", seconds(9), 4}};
  auto third = part(0, 0);
  third.can_launch = false;
  third.seen.queued = 100;
  const auto whole = whole_observation(Instant(seconds(9)), {first, second, third});
  ASSERT_EQ(whole.loads.size(), 3u);
  EXPECT_EQ(whole.loads[0], (QueueLoad{"urgent", 1, 5, 2, 10}));
  EXPECT_EQ(whole.loads[1], (QueueLoad{"other", 1, 7}));
  EXPECT_EQ(whole.loads[2], (QueueLoad{"", 5, 130}));
  EXPECT_EQ(whole_bounds({first, second, third}).objectives,
            (std::vector<QueueObjective>{{"urgent", seconds(5), 4}, {"other", seconds(60), 1}}));
  EXPECT_TRUE(whole_observation(Instant(seconds(9)), {third}).loads.empty());
}

TEST(FleetShare, AnOrderBelowTheMinimumHolds) {
  std::vector<FleetPart> parts = {part(2, 6, 2), part(2, 6, 2)};
  for (auto& one : parts) {
    one.bounds.workers_min = 2;
    one.share = 2;
  }
  EXPECT_EQ(share_out(4, parts), (std::vector<std::uint32_t>{2, 2}));
  EXPECT_EQ(share_out(0, parts), (std::vector<std::uint32_t>{0, 0}));
}

std::uint32_t below(std::uint32_t end) {
  return *rc::gen::inRange<std::uint32_t>(0, end);
}

RC_GTEST_PROP(FleetShare, IsExactWhereThereIsRoomAndNeverBeyondIt, ()) {
  std::vector<FleetPart> parts;
  std::uint32_t most = 0;
  std::uint32_t least = 0;
  const std::uint32_t count = 1 + below(5);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t own = below(6);
    auto made = part(own, own + below(6), below(own + 1));
    made.share = below(12);
    made.others = below(3);
    made.is_failing = below(4) == 0;
    made.can_launch = below(5) != 0;
    parts.push_back(made);
    most += own + (made.can_launch ? made.room : 0) + made.others;
    least += made.others;
  }
  const std::uint32_t wanted = below(40);
  const auto shares = share_out(wanted, parts);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    RC_ASSERT(shares[i] <= parts[i].own + (parts[i].can_launch ? parts[i].room : 0));
    sum += shares[i] + parts[i].others;
  }
  RC_ASSERT(sum == std::clamp(wanted, least, most));
  // What is carried out is not shared out again.
  auto done = parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    done[i].room = done[i].own + done[i].room - shares[i];
    done[i].own = done[i].share = shares[i];
  }
  RC_ASSERT(share_out(wanted, done) == shares);
}

}  // namespace
}  // namespace skep::scaler
