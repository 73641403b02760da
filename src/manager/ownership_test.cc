// SPDX-License-Identifier: Apache-2.0
// Goal: shares are even, shards go from one to the next, and no two managers serve one at a time - whatever
// the network, the clocks and the processes do. Method: views made by hand, and whole clusters on virtual
// time over one store, from a seed.
#include "manager/ownership.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "base/random.h"
#include "base/testing/virtual_executor.h"
#include "store/memory_tables.h"

namespace skep::manager {
namespace {

using skep::testing::VirtualExecutor;
using store::ClusterView;
using store::Member;
using store::MemberId;
using store::ShardAt;

constexpr Instant kStart = VirtualExecutor::kStart;

// ---- views by hand ----

// `owners`: by shard; 0 is nobody.
ClusterView view_of(std::vector<Member> members, const std::vector<MemberId>& owners, Epoch epoch = 1) {
  ClusterView view;
  view.members = std::move(members);
  for (const MemberId owner : owners) view.shards.push_back({epoch, owner});
  return view;
}
Member member(MemberId id, Duration silence = Duration::zero(), bool is_leaving = false) {
  return {id, "host:" + std::to_string(id), is_leaving, silence};
}
std::vector<ShardId> shards_of(const std::vector<ShardAt>& list) {
  std::vector<ShardId> shards;
  for (const auto& item : list) shards.push_back(item.shard);
  return shards;
}
// Serves `shards` at epoch 2, as of a view of `members` in which they were free.
Ownership serving(MemberId self, std::vector<ShardId> shards, ShardId count,
                  const std::vector<Member>& members) {
  Ownership ownership(self, count, {});
  std::vector<MemberId> owners(count, 99);
  for (const ShardId shard : shards) owners[shard] = self;
  auto all = members;
  all.push_back(member(99, {}, true));  // leaves, and has not yet given up what it has
  const auto plan = ownership.on_view(kStart, view_of(all, owners));
  EXPECT_EQ(shards_of(plan.takes), shards);
  for (const ShardId shard : shards) EXPECT_TRUE(ownership.on_taken({shard, 2}, kStart));
  return ownership;
}

TEST(Ownership, OneAloneTakesEverything) {
  Ownership ownership(1, 4, {});
  const auto plan = ownership.on_view(kStart, view_of({member(1)}, {0, 0, 0, 0}));
  EXPECT_EQ(plan.takes, (std::vector<ShardAt>{{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
  EXPECT_TRUE(plan.give_ups.empty());
}

TEST(Ownership, AllFromOneViewTakeDifferentShardsAndTogetherAll) {
  std::set<ShardId> taken;
  for (const MemberId self : {1, 2, 3}) {
    Ownership ownership(self, 64, {});
    const auto plan =
        ownership.on_view(kStart, view_of({member(1), member(2), member(3)}, std::vector<MemberId>(64, 0)));
    EXPECT_GE(plan.takes.size(), 21u);
    EXPECT_LE(plan.takes.size(), 22u);
    for (const auto& item : plan.takes) EXPECT_TRUE(taken.insert(item.shard).second);
  }
  EXPECT_EQ(taken.size(), 64u);
}

TEST(Ownership, ASilentMemberLosesItsShardsAndOneThatIsNotYetKeepsThem) {
  Ownership ownership(1, 2, {});
  EXPECT_EQ(ownership.on_view(kStart, view_of({member(1), member(2, milliseconds(4'999))}, {1, 2})).takes,
            (std::vector<ShardAt>{{0, 1}}));
  EXPECT_EQ(ownership.owner_of(1)->id, 2u);
  EXPECT_EQ(ownership.on_view(kStart, view_of({member(1), member(2, seconds(5))}, {1, 2})).takes,
            (std::vector<ShardAt>{{1, 1}}));
  EXPECT_EQ(ownership.owner_of(1), nullptr);
  EXPECT_TRUE(ownership.siblings().empty());
}

TEST(Ownership, WhoHasTooManyGivesUpTheHighestAndKeepsShardZero) {
  Ownership ownership = serving(1, {0, 1, 2, 3}, 4, {member(1)});
  const auto plan = ownership.on_view(kStart, view_of({member(1), member(2)}, {1, 1, 1, 1}, 2));
  EXPECT_EQ(plan.give_ups, (std::vector<ShardId>{3, 2}));
  EXPECT_TRUE(ownership.serves(1));
  EXPECT_FALSE(ownership.serves(2));
  // While they are on their way no more are given up.
  EXPECT_TRUE(ownership.on_view(kStart, view_of({member(1), member(2)}, {1, 1, 1, 1}, 2)).give_ups.empty());
}

TEST(Ownership, OnlySomeShardsAreOnTheirWayAtATime) {
  std::vector<ShardId> all;
  for (ShardId shard = 0; shard < 64; ++shard) all.push_back(shard);
  Ownership ownership = serving(1, all, 64, {member(1)});
  const auto view = view_of({member(1), member(2)}, std::vector<MemberId>(64, 1), 2);
  EXPECT_EQ(ownership.on_view(kStart, view).give_ups.size(), OwnershipOptions().give_up_max);
  EXPECT_TRUE(ownership.on_view(kStart, view).give_ups.empty());
  ownership.on_given_up(63);
  EXPECT_EQ(ownership.on_view(kStart, view).give_ups.size(), 1u);
  ownership.leave();
  EXPECT_EQ(ownership.on_view(kStart, view).give_ups.size(), 64u - OwnershipOptions().give_up_max - 1);
}

TEST(Ownership, TheOneWithMostHasTheShardMore) {
  // 3 shards for 2: the second has two and keeps them.
  Ownership ownership(2, 3, {});
  const auto plan = ownership.on_view(kStart, view_of({member(1), member(2)}, {1, 2, 2}));
  EXPECT_EQ(shards_of(plan.takes), (std::vector<ShardId>{1, 2}));
  EXPECT_TRUE(plan.releases.empty());
}

TEST(Ownership, ItsTimeRunsOutBeforeTheOthersMayTakeItsShards) {
  Ownership ownership = serving(1, {0, 1}, 2, {member(1)});
  EXPECT_TRUE(ownership.expire(kStart + milliseconds(4'499)).empty());
  EXPECT_EQ(ownership.expire(kStart + milliseconds(4'500)), (std::vector<ShardId>{0, 1}));
  EXPECT_FALSE(ownership.serves(0));
  // What the store still says is its own it takes again, at a higher epoch.
  EXPECT_EQ(shards_of(ownership.on_view(kStart + seconds(9), view_of({member(1)}, {1, 1}, 2)).takes),
            (std::vector<ShardId>{0, 1}));
}

TEST(Ownership, WhatWasBeingTakenWhenTheTimeRanOutIsNotServed) {
  Ownership ownership(1, 1, {});
  ASSERT_EQ(ownership.on_view(kStart, view_of({member(1)}, {0})).takes.size(), 1u);
  EXPECT_TRUE(ownership.expire(kStart + seconds(6)).empty());
  EXPECT_TRUE(ownership.on_view(kStart + seconds(6), view_of({member(1)}, {1}, 2)).takes.empty());
  EXPECT_FALSE(ownership.on_taken({0, 2}, kStart + seconds(6)));
  EXPECT_EQ(ownership.on_view(kStart + seconds(6), view_of({member(1)}, {1}, 2)).takes,
            (std::vector<ShardAt>{{0, 2}}));
}

TEST(Ownership, AViewThatIsOlderThanATakingTakesNothingAway) {
  Ownership ownership = serving(1, {0}, 1, {member(1)});
  EXPECT_TRUE(ownership.on_view(kStart, view_of({member(1)}, {0}, 1)).lost.empty());
  EXPECT_TRUE(ownership.serves(0));
  EXPECT_EQ(ownership.on_view(kStart, view_of({member(1), member(2)}, {2}, 3)).lost,
            (std::vector<ShardId>{0}));
  EXPECT_FALSE(ownership.serves(0));
}

// Beats and releases go to the store on their own ways: a view may come back before the answer to a release.
TEST(Ownership, AReleaseThatAViewShowsBeforeItIsAnsweredIsNoLoss) {
  Ownership ownership = serving(1, {0, 1, 2, 3}, 4, {member(1)});
  const std::vector<Member> both{member(1), member(2)};
  EXPECT_EQ(ownership.on_view(kStart, view_of(both, {1, 1, 1, 1}, 2)).give_ups, (std::vector<ShardId>{3, 2}));
  ownership.on_releasing(3);
  ClusterView view = view_of(both, {1, 1, 1, 2}, 2);
  view.shards[3].epoch = 4;  // released at 3, and taken
  EXPECT_TRUE(ownership.on_view(kStart, view).lost.empty());
  EXPECT_TRUE(ownership.serves(0));
  ownership.on_given_up(3);
  // What is not released yet can only have been taken away.
  view.shards[2] = {3, 2};
  EXPECT_EQ(ownership.on_view(kStart, view).lost, (std::vector<ShardId>{2}));
}

TEST(Ownership, WhoLeavesGivesUpEverythingAndTheOthersTakeIt) {
  Ownership first = serving(1, {0, 1}, 2, {member(1)});
  first.leave();
  const auto view = view_of({member(1, {}, true), member(2)}, {1, 1}, 2);
  EXPECT_EQ(first.on_view(kStart, view).give_ups, (std::vector<ShardId>{1, 0}));
  Ownership second(2, 2, {});
  EXPECT_TRUE(second.on_view(kStart, view).takes.empty());
  EXPECT_EQ(second.on_view(kStart, view_of({member(1, {}, true), member(2)}, {0, 0}, 3)).takes.size(), 2u);
}

TEST(Ownership, AFormerLifeAtTheSameAddressIsDeadAtOnceAndSoIsWhoeverFindsAYoungerOne) {
  const Member old{1, "here:1", false, milliseconds(10)}, young{2, "here:1", false, {}};
  Ownership second(2, 2, {});
  EXPECT_EQ(second.on_view(kStart, view_of({old, young}, {1, 1})).takes.size(), 2u);
  EXPECT_TRUE(second.siblings().empty());
  Ownership first = serving(1, {0, 1}, 2, {old});
  const auto plan = first.on_view(kStart, view_of({old, young}, {1, 1}, 2));
  EXPECT_EQ(plan.give_ups.size(), 2u);
  EXPECT_TRUE(plan.takes.empty());
}

TEST(Ownership, TheNextBeatComesWhenASilentMembersTimeRunsOut) {
  Ownership ownership = serving(1, {0}, 2, {member(1)});
  (void)ownership.on_view(kStart, view_of({member(1), member(2, milliseconds(4'900))}, {1, 2}, 2));
  const Instant next = ownership.next_beat_at(kStart, kStart);
  EXPECT_GE(next, kStart + milliseconds(100));
  EXPECT_LE(next, kStart + milliseconds(120));
}

}  // namespace
}  // namespace skep::manager
