// SPDX-License-Identifier: Apache-2.0
// Goal: what a person orders holds against the policy until it ends, a dry run does nothing, and a scaler
// that can not act says so and goes on trying.
// Method: the whole loop over virtual time, as in scaler_test.cc.
#include <gtest/gtest.h>

#include "scaler/scaler.h"
#include "scaler/spending.h"
#include "scaler/testing/fake_cluster.h"

namespace skep::scaler {
namespace {

using testing::FakeCluster;

FleetRecord size_order(FakeCluster& cluster, std::uint32_t workers, Duration length) {
  const Instant now = cluster.executor.now();
  return {{FleetOrderKind::kSize, workers, now, now + length}, {}, 0};
}
FleetRecord pause_order(FakeCluster& cluster, Duration length) {
  const Instant now = cluster.executor.now();
  return {{FleetOrderKind::kPause, 0, now, now + length}, {}, 0};
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ScalerSpending, WhatTheStoreHasIsKnownBeforeTheFirstDecision) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.scaler->know({{}, month_of(cluster.executor.now()), 5'000'000});
  EXPECT_EQ(cluster.scaler->spent_month(), 5.0);
}

// ---- an ordered size ----

TEST(ScalerOrders, AnOrderedSizeHoldsUntilItEnds) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.scaler->know(size_order(cluster, 3, minutes(10)));
  cluster.executor.run_for(minutes(9));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 3u) << "though nothing waits";
  EXPECT_TRUE(has(cluster.scaler->explain(), "because 3 workers are ordered until "))
      << cluster.scaler->explain();
  EXPECT_TRUE(has(cluster.scaler->explain(), "by itself it would be 0 because nothing waits"));
  cluster.executor.run_for(minutes(2));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  EXPECT_FALSE(has(cluster.scaler->explain(), "ordered"));
  EXPECT_EQ(cluster.scaler->order(), FleetOrder());
}

TEST(ScalerOrders, OneThatCrashesIsReplaced) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.scaler->know(size_order(cluster, 2, hours(1)));
  cluster.executor.run_for(minutes(1));
  cluster.provisioner.end(cluster.provisioner.existing_ids().front(), "killed");
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.running_ids().size() == 2; }, seconds(10)));
}

TEST(ScalerOrders, AnOrderGoesBelowTheMinimumButNotAboveTheMaximum) {
  FakeCluster cluster(4);
  cluster.options.bounds.workers_min = 2;
  cluster.start();
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 2u);
  cluster.scaler->know(size_order(cluster, 0, hours(1)));
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  cluster.scaler->know(size_order(cluster, 9, hours(1)));
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.existing(), 4u);
  EXPECT_TRUE(has(cluster.scaler->explain(), "9 workers are ordered")) << cluster.scaler->explain();
  EXPECT_TRUE(has(cluster.scaler->explain(), "; the maximum is 4")) << cluster.scaler->explain();
  cluster.scaler->know({});
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 2u) << "the minimum holds again";
}

// ---- a pause ----

TEST(ScalerOrders, APauseStartsNothingAndLetsNothingGo) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.fleet.enqueue(60, seconds(1));
  cluster.executor.run_for(seconds(5));
  const auto before = cluster.fleet.running_ids().size();
  ASSERT_GT(before, 0u);
  cluster.scaler->know(pause_order(cluster, hours(1)));
  cluster.executor.run_for(minutes(20));
  EXPECT_EQ(cluster.fleet.queued(), 0u);
  EXPECT_EQ(cluster.fleet.running_ids().size(), before) << "idle for long and not let go";
  EXPECT_TRUE(has(cluster.scaler->explain(), "scaling is paused at ")) << cluster.scaler->explain();
  const auto launches = cluster.provisioner.launch_calls();
  cluster.provisioner.end(cluster.provisioner.existing_ids().front(), "killed");
  cluster.fleet.enqueue(500, seconds(2));
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.launch_calls(), launches) << "not even for one that crashed";
  EXPECT_EQ(cluster.fleet.running_ids().size(), before - 1);
  cluster.executor.run_for(minutes(60));
  EXPECT_EQ(cluster.fleet.queued(), 0u);
  EXPECT_EQ(cluster.provisioner.existing(), 0u) << "by itself again";
}

TEST(ScalerOrders, NoLoadMakesAPausedFleetGrow) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.fleet.worker_up("");
  cluster.fleet.worker_up("");
  cluster.scaler->know(pause_order(cluster, hours(1)));
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(minutes(5));
  EXPECT_EQ(cluster.provisioner.launch_calls(), 0u);
}

// ---- a dry run ----

TEST(ScalerOrders, ADryRunDecidesAndDoesNothing) {
  FakeCluster cluster(8);
  cluster.options.is_dry_run = true;
  cluster.start();
  cluster.fleet.worker_up("");
  cluster.fleet.enqueue(1'000, seconds(5));
  cluster.executor.run_for(minutes(5));
  EXPECT_EQ(cluster.scaler->wanted(), 8u);
  EXPECT_EQ(cluster.provisioner.launch_calls(), 0u);
  EXPECT_TRUE(has(cluster.scaler->explain(), "nothing is done about it: this is a dry run"))
      << cluster.scaler->explain();
  EXPECT_EQ(cluster.scaler->problem(), "");
  EXPECT_GT(cluster.scaler->ledger().size(), 0u);
  bool is_stopped = false;
  cluster.scaler->stop(cluster.executor.now() + seconds(1), [&] { is_stopped = true; });
  cluster.executor.run_for(seconds(2));
  EXPECT_TRUE(is_stopped);
  EXPECT_EQ(cluster.fleet.running_ids().size(), 1u);
}

TEST(ScalerOrders, ADryRunTerminatesNothingThatTheProviderLists) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.scaler->know(size_order(cluster, 2, hours(1)));
  cluster.provisioner.script.never_boots = 1;
  cluster.executor.run_for(seconds(5));
  ASSERT_EQ(cluster.provisioner.existing(), 2u);
  cluster.options.is_dry_run = true;
  cluster.start();  // another manager, which knows nothing of them
  cluster.executor.run_for(minutes(10));
  EXPECT_EQ(cluster.provisioner.existing(), 2u);
}

// ---- what it costs ----

TEST(ScalerCosts, ASpentBudgetLetsAlsoBusyWorkersGo) {
  FakeCluster cluster(4);
  cluster.options.bounds.price_hour = 36;  // a hundredth a second
  cluster.options.bounds.cost_month_max = 40;
  cluster.start();
  std::uint64_t stored = 0;
  cluster.scaler->on_spending([&](const SpendingPart& part, auto done) {
    stored += part.micros;
    cluster.executor.post(
        [&cluster, month = cluster.scaler->month(), sum = stored, done = std::move(done)]() mutable {
          cluster.scaler->know({{}, month, sum});
          done(ok());
        });
  });
  cluster.fleet.enqueue(4, hours(5));
  cluster.executor.run_for(minutes(6));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 4u);
  cluster.executor.run_for(minutes(54));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  EXPECT_TRUE(has(cluster.scaler->explain(), "; the budget of the month, 40.00, has "))
      << cluster.scaler->explain();
  EXPECT_LE(cluster.scaler->spent_month(), 40.0);
  EXPECT_GE(cluster.scaler->spent_month(), 36.0) << "one worker for five minutes is what it ends with";
  EXPECT_NEAR(static_cast<double>(stored) * 1e-6, cluster.scaler->spent_month(), 1.0);
  const auto& costs = cluster.scaler->costs();
  EXPECT_EQ(costs.total(), costs.tasks().all() + costs.idle());
  EXPECT_NEAR(in_money(costs.total()), cluster.scaler->spent_month(), 1e-3);
}

TEST(ScalerCosts, WhatMachinesCostIsFromTheirStartToTheirEnd) {
  FakeCluster cluster(4);
  cluster.options.bounds.price_hour = 3'600;
  cluster.provisioner.script.boot = seconds(20);
  cluster.start();
  cluster.scaler->know(size_order(cluster, 2, seconds(100)));
  cluster.executor.run_for(minutes(5));
  ASSERT_EQ(cluster.provisioner.existing(), 0u);
  // Two for 100 s, and some replies and looks.
  EXPECT_NEAR(in_money(cluster.scaler->costs().total()), 200.0, 4.0);
}

// ---- launches a minute ----

TEST(ScalerOrders, WhatCrashesTogetherIsReplacedAtThePaceThatIsAllowed) {
  FakeCluster cluster(8);
  cluster.options.bounds.launches_minute_max = 2;
  cluster.start();
  cluster.scaler->know(size_order(cluster, 6, hours(1)));
  cluster.executor.run_for(minutes(4));
  ASSERT_EQ(cluster.fleet.running_ids().size(), 6u);
  for (const auto& id : cluster.provisioner.existing_ids()) cluster.provisioner.end(id, "taken away");
  const auto before = cluster.provisioner.started();
  cluster.executor.run_for(seconds(50));
  EXPECT_EQ(cluster.provisioner.started() - before, 2u);
  EXPECT_TRUE(has(cluster.scaler->explain(), "; no more than 2 are launched in a minute"))
      << cluster.scaler->explain();
  cluster.executor.run_for(minutes(3));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 6u);
}

// ---- what keeps it from acting ----

TEST(ScalerOrders, ALaunchThatFailsIsSaidUntilOneComesUp) {
  FakeCluster cluster(4);
  cluster.start();
  EXPECT_EQ(cluster.scaler->problem(), "");
  cluster.provisioner.script.launch_error = 1;
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(minutes(3));
  EXPECT_TRUE(has(cluster.scaler->problem(), "last: no capacity, by script")) << cluster.scaler->problem();
  EXPECT_GT(cluster.executor.now() - cluster.scaler->problem_since(), minutes(2));
  EXPECT_LT(cluster.provisioner.launch_calls(), 12u);
  cluster.provisioner.script.launch_error = 0;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 100; }, minutes(4)));
  EXPECT_EQ(cluster.scaler->problem(), "");
}

TEST(ScalerOrders, AListThatFailsIsAskedForWithGrowingPausesForEver) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.executor.run_for(seconds(10));
  const auto before = cluster.provisioner.list_calls();
  cluster.provisioner.script.list_error = 1;
  cluster.executor.run_for(minutes(10));
  const auto asked = cluster.provisioner.list_calls() - before;
  EXPECT_LE(asked, 48u);
  EXPECT_GE(asked, 38u);
  EXPECT_TRUE(has(cluster.scaler->problem(), "the provisioner does not list its instances"));
  cluster.provisioner.script.list_error = 0;
  cluster.executor.run_for(seconds(17));
  EXPECT_EQ(cluster.scaler->problem(), "");
}

TEST(ScalerOrders, WhatCanNotBeTerminatedIsSaidUntilItIsGone) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.provisioner.script.never_boots = 1;
  cluster.provisioner.script.terminate_error = 1;
  cluster.fleet.enqueue(1, seconds(1));
  cluster.executor.run_for(minutes(2));
  EXPECT_TRUE(has(cluster.scaler->problem(), "instances can not be terminated: terminating is not available"))
      << cluster.scaler->problem();
  cluster.provisioner.script.never_boots = 0;
  cluster.provisioner.script.terminate_error = 0;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 1; }, minutes(5)));
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.scaler->problem(), "");
}

}  // namespace
}  // namespace skep::scaler
