// SPDX-License-Identifier: Apache-2.0
// Goal: who leads a fleet of machines that outlive a manager holds its limits and counts them rightly, also
// after it did not lead for a while.
// Method: scalers over one provisioner on virtual time; the lead is put from one to the other.
#include <gtest/gtest.h>

#include "scaler/testing/fake_cluster.h"
#include "scaler/testing/fake_lead.h"

namespace skep::scaler {
namespace {

using testing::FakeCluster;
using testing::FakeLead;

// Two managers, of which none leads yet.
class ScalerLead : public ::testing::Test {
 protected:
  void start(bool is_of_cluster = true) {
    cluster.provisioner.is_of_cluster = is_of_cluster;
    first = make("a", first_lead);
    second = make("b", second_lead);
    cluster.fleet.on_change = [this] {
      first->poke();
      second->poke();
    };
  }
  std::unique_ptr<Scaler> make(const std::string& name, FakeLead& lead) {
    auto made = std::make_unique<Scaler>(cluster.executor, cluster.fleet, cluster.provisioner,
                                         make_drain_time_policy({}), cluster.options, name, Logger(), &lead);
    made->start();
    return made;
  }
  void lead(bool is_first) {
    first_lead.leads = is_first;
    second_lead.leads = !is_first;
  }
  void order(std::uint32_t workers) {
    const Instant now = cluster.executor.now();
    for (auto* scaler : {first.get(), second.get()})
      scaler->know({{FleetOrderKind::kSize, workers, now, now + hours(9)}, "", 0});
  }

  FakeCluster cluster{8};
  FakeLead first_lead, second_lead;
  std::unique_ptr<Scaler> first, second;
};

TEST_F(ScalerLead, WhatEndedWhileAnotherLedIsNoFailureOfItsOwn) {
  cluster.provisioner.script.boot = seconds(10);
  cluster.provisioner.script.is_gone_listed = false;
  start();
  lead(true);
  order(3);
  cluster.executor.run_for(seconds(5));
  ASSERT_EQ(cluster.provisioner.existing(), 3u);
  lead(false);  // they boot
  cluster.executor.run_for(minutes(2));
  ASSERT_EQ(cluster.fleet.running_ids().size(), 3u);
  order(0);
  cluster.executor.run_for(minutes(2));
  ASSERT_EQ(cluster.provisioner.existing(), 0u);
  lead(true);
  order(2);
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.fleet.running_ids().size(), 2u);
  EXPECT_EQ(first->counts().boot_failures, 0u);
  EXPECT_EQ(first->counts().crashed, 0u);
  EXPECT_EQ(first->counts().running, 2u);
}

TEST_F(ScalerLead, WhatItLaunchedJustBeforeItLostTheLeadIsLaunchedOnce) {
  cluster.provisioner.script.reply_delay = seconds(2);
  start();
  lead(true);
  order(3);
  cluster.executor.run_for(milliseconds(2'600));
  ASSERT_EQ(cluster.provisioner.launch_calls(), 1u) << "and it is not answered yet";
  first_lead.leads = false;
  cluster.executor.run_for(milliseconds(600));
  lead(true);
  cluster.executor.run_for(minutes(2));
  EXPECT_EQ(cluster.provisioner.started(), 3u);
  EXPECT_EQ(first->counts().running, 3u);
}

TEST_F(ScalerLead, ASpentBudgetLetsBusyWorkersGoBesideSiblingsToo) {
  cluster.options.bounds.price_hour = 36;  // a hundredth a second
  cluster.options.bounds.cost_month_max = 20;
  first_lead.parts.emplace_back().address = "127.0.0.1:2";
  start();
  lead(true);
  cluster.fleet.enqueue(4, hours(5));
  cluster.executor.run_for(minutes(1));
  ASSERT_EQ(cluster.fleet.running_ids().size(), 4u);
  cluster.executor.run_for(minutes(40));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  EXPECT_LE(first->spent_month(), 20.0);
}

TEST_F(ScalerLead, ADryRunTellsSiblingsItsDecisionAndGivesThemNoShares) {
  FleetPart& part = first_lead.parts.emplace_back();
  part.address = "127.0.0.1:2";
  part.can_launch = true;
  part.bounds = cluster.options.bounds;
  part.own = part.share = 1;
  part.room = 7;
  second_lead.parts = first_lead.parts;
  start();
  lead(true);
  cluster.fleet.enqueue(40, hours(5));
  cluster.executor.run_for(seconds(20));
  ASSERT_EQ(first_lead.given.size(), 1u);
  cluster.options.is_dry_run = true;
  second = make("b", second_lead);
  lead(false);
  cluster.executor.run_for(seconds(20));
  EXPECT_TRUE(second_lead.given.empty());
  EXPECT_GT(second_lead.told.wanted, 1u);
  EXPECT_NE(second_lead.told.reason.find("this is a dry run"), std::string::npos) << second_lead.told.reason;
}

TEST_F(ScalerLead, WhatSiblingsStartedInItsPlaceIsNoProblemOfIts) {
  first_lead.parts.emplace_back().address = "127.0.0.1:2";
  start(false);
  lead(true);
  cluster.provisioner.script.launch_error = 1;
  cluster.fleet.enqueue(2, hours(5));
  cluster.executor.run_for(seconds(20));
  EXPECT_NE(first->problem(), "");
  FleetPart& part = first_lead.parts.front();
  part.counts.running = part.seen.running = part.own = 8;
  cluster.executor.run_for(seconds(20));
  EXPECT_EQ(first->problem(), "");
}

}  // namespace
}  // namespace skep::scaler
