// SPDX-License-Identifier: Apache-2.0
// Goal: the ledger says enough of a decision that it can be made again, with the same outcome, and stays
// bounded. Method: random loads over virtual time; every entry that can be is replayed.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "scaler/scaler.h"
#include "scaler/testing/fake_cluster.h"

namespace skep::scaler {
namespace {

using testing::FakeCluster;

// How many of the ledger's decisions were made again; each gives what it gave.
std::size_t replay_all(const Scaler& scaler) {
  std::size_t replayed = 0;
  for (const LedgerEntry& entry : scaler.ledger()) {
    const auto again = replay(entry);
    if (!again) continue;
    ++replayed;
    RC_ASSERT(again->wanted == entry.decision.wanted);
    RC_ASSERT(again->most == entry.decision.most);
    RC_ASSERT(again->reason == entry.decision.reason);
  }
  return replayed;
}

RC_GTEST_PROP(ScalerLedger, TheSameInputsGiveTheSameOutcomeAgain, (std::uint64_t seed)) {
  Random random(seed);
  FakeCluster cluster(static_cast<std::uint32_t>(1 + random.below(8)), seed);
  cluster.fleet.is_speed_known = random.below(2) == 0;
  cluster.options.bounds.launches_minute_max = static_cast<std::uint32_t>(random.below(2) * 5);
  // Short and long boots are sized in two ways.
  cluster.provisioner.script.boot = random.below(2) == 0 ? milliseconds(300) : seconds(40);
  cluster.options.reconciler.boot_timeout = minutes(3);
  cluster.start();
  for (int i = 0; i < 30; ++i) {
    if (random.below(3) > 0)
      cluster.fleet.enqueue(static_cast<std::uint32_t>(1 + random.below(40)),
                            milliseconds(static_cast<std::int64_t>(100 + random.below(5'000))));
    if (random.below(10) == 0) {
      FleetOrder order;
      order.kind = random.below(2) == 0 ? FleetOrderKind::kPause : FleetOrderKind::kSize;
      order.workers = static_cast<std::uint32_t>(random.below(6));
      order.given_at = cluster.executor.now();
      order.until = order.given_at + seconds(20);
      cluster.scaler->know({order, "", 0});
    }
    cluster.executor.run_for(milliseconds(static_cast<std::int64_t>(random.below(20'000))));
  }
  RC_ASSERT(replay_all(*cluster.scaler) == std::min(cluster.scaler->ledger().size(), kReplayableMax));
}

TEST(ScalerLedger, OnlyTheNewestCanBeReplayed) {
  FakeCluster cluster(4);
  cluster.start();
  for (int i = 0; i < 200; ++i) {
    cluster.fleet.enqueue(3, seconds(2));
    cluster.executor.run_for(minutes(1));
  }
  const auto& ledger = cluster.scaler->ledger();
  ASSERT_GT(ledger.size(), kReplayableMax);
  for (std::size_t i = 0; i < ledger.size(); ++i)
    EXPECT_EQ(ledger[i].policy != nullptr, i + kReplayableMax >= ledger.size()) << i;
}

TEST(ScalerLedger, AReplayLeavesTheEntryAsItWas) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.fleet.enqueue(40, seconds(1));
  cluster.executor.run_for(seconds(30));
  const LedgerEntry& entry = cluster.scaler->ledger().back();
  const auto once = replay(entry);
  const auto twice = replay(entry);
  ASSERT_TRUE(once && twice);
  EXPECT_EQ(once->reason, twice->reason);
  EXPECT_EQ(once->wanted, entry.decision.wanted);
}

TEST(ScalerLedger, SaysWhoSetTheSize) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.fleet.enqueue(1, seconds(1));
  cluster.executor.run_for(seconds(5));
  EXPECT_EQ(cluster.scaler->ledger().back().rule, SizeRule::kPolicy);
  const Instant now = cluster.executor.now();
  cluster.scaler->know({{FleetOrderKind::kSize, 3, now, now + minutes(1)}, "", 0});
  cluster.executor.run_for(seconds(5));
  EXPECT_EQ(cluster.scaler->ledger().back().rule, SizeRule::kOrder);
  EXPECT_EQ(cluster.scaler->ledger().back().bounds.workers_max, 4u);
  cluster.scaler->stop(cluster.executor.now() + seconds(5), [] {});
  cluster.executor.run_for(seconds(5));
  EXPECT_EQ(cluster.scaler->ledger().back().rule, SizeRule::kLetGo);
  EXPECT_FALSE(replay(cluster.scaler->ledger().back()));
}

}  // namespace
}  // namespace skep::scaler
