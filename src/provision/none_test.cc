// SPDX-License-Identifier: Apache-2.0
// The provisioner that starts nothing answers everything and does nothing.
#include "provision/none.h"

#include <gtest/gtest.h>

#include "base/testing/virtual_executor.h"
#include "scaler/scaler.h"
#include "scaler/testing/fake_fleet.h"

namespace skep::provision {
namespace {

TEST(NoneProvisioner, ListsNothingAndStartsNothing) {
  testing::VirtualExecutor executor;
  NoneProvisioner provisioner(executor);
  EXPECT_EQ(provisioner.name(), "none");
  EXPECT_FALSE(provisioner.can_launch());
  int answers = 0;
  provisioner.list([&](Result<std::vector<scaler::Instance>> reply) {
    ++answers;
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply.value().empty());
  });
  provisioner.launch(2, "t", [&](const scaler::LaunchReply& reply) {
    ++answers;
    EXPECT_TRUE(reply.started.empty());
    ASSERT_EQ(reply.errors.size(), 2u);
    EXPECT_EQ(reply.errors.front().code, Code::kUnavailable);
  });
  provisioner.terminate({"x"}, [&](const Result<void>& reply) {
    ++answers;
    EXPECT_TRUE(reply);
  });
  EXPECT_EQ(answers, 0);
  executor.run_ready();
  EXPECT_EQ(answers, 3);
}

TEST(NoneProvisioner, TheScalerPublishesTheWantedSizeAndLaunchesNothing) {
  testing::VirtualExecutor executor;
  NoneProvisioner provisioner(executor);
  scaler::testing::FakeFleet fleet(executor);
  scaler::ScalerOptions options;
  options.bounds = {0, 10, seconds(30)};
  scaler::Scaler scaler(executor, fleet, provisioner, scaler::make_drain_time_policy({}), options, "t", {});
  scaler.start();
  fleet.enqueue(64, seconds(1));
  fleet.worker_up("");
  executor.run_for(seconds(5));
  EXPECT_EQ(scaler.wanted(), 10u);
  EXPECT_EQ(scaler.counts().running, 1u);
  EXPECT_EQ(scaler.counts().boot_failures, 0u);
  for (const auto& entry : scaler.ledger()) EXPECT_TRUE(entry.actions.empty());
  EXPECT_NE(scaler.explain().find("workers are started by something else"), std::string::npos);
  bool is_done = false;
  scaler.stop(executor.now() + seconds(10), [&] { is_done = true; });
  executor.run_for(seconds(1));
  EXPECT_TRUE(is_done);
  EXPECT_EQ(fleet.running_ids().size(), 1u);
}

}  // namespace
}  // namespace skep::provision
