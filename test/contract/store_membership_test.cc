// SPDX-License-Identifier: Apache-2.0
// Goal: every engine keeps every sentence of membership.h, or says that it can have one manager only.
// Method: one test a sentence, run for each engine of engines.h; two stores open on one disk.
#include <gtest/gtest.h>

#include <algorithm>

#include "driver.h"
#include "engines.h"
#include "store/store.h"

namespace skep::contract {
namespace {

using store::ClusterView;
using store::MemberId;
using store::Membership;
using store::PutTask;
using store::ShardAt;
using store::ShardBatch;
using store::ShardOwner;

constexpr ShardId kShards = 3;

// One manager's side of the store; its calls wait for their reply.
class Side {
 public:
  Side(std::unique_ptr<store::Store> store, const std::string& address)
      : store_(std::move(store)), driver_(*store_) {
    auto joined = store_->join(address, driver_.runner());
    EXPECT_TRUE(joined) << joined.error().message;
    membership_ = std::move(joined.value());
  }
  bool is_shared() const { return store_->is_shared(); }
  bool is_member() const { return membership_ != nullptr; }
  MemberId self() const { return membership_->self(); }
  Driver& driver() { return driver_; }

  ClusterView beat(bool is_leaving = false) {
    return wait<ClusterView>([&](auto done) { membership_->beat(is_leaving, std::move(done)); }).value();
  }
  Result<Epoch> take(ShardAt seen, Contents* loaded = nullptr) {
    auto sink = std::make_shared<Contents>();
    auto taken = wait<Epoch>([&](auto done) {
      membership_->take(
          seen, [sink](Epoch) { return sink; }, std::move(done));
    });
    if (loaded != nullptr) *loaded = *sink;
    return taken;
  }
  Result<void> release(std::vector<ShardAt> shards) {
    return wait<void>([&](auto done) { membership_->release(std::move(shards), std::move(done)); });
  }
  Result<void> leave() {
    return wait<void>([&](auto done) { membership_->leave(std::move(done)); });
  }
  Result<void> put(ShardAt at, std::uint64_t sequence) {
    PutTask put;
    put.record->id = {at.shard, at.epoch, sequence};
    std::vector<ShardBatch> batches;
    batches.push_back({at.shard, at.epoch, {std::move(put)}});
    return driver_.commit(std::move(batches));
  }

 private:
  template <class T>
  static Result<T> wait(const std::function<void(UniqueFunction<void(Result<T>)>)>& begin) {
    std::promise<Result<T>> promise;
    begin([&promise](Result<T> result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  }

  std::unique_ptr<store::Store> store_;
  Driver driver_;
  std::unique_ptr<Membership> membership_;
};

class StoreMembership : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (!GetParam().why_not.empty()) GTEST_SKIP() << GetParam().why_not;
  }
  std::unique_ptr<Side> open(const std::string& address) {
    auto opened = engine_->open(kShards);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::make_unique<Side>(std::move(opened.value()), address);
  }
  bool is_shared() const { return GetParam().is_shared; }

  const std::unique_ptr<Engine> engine_ = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(Engines, StoreMembership, ::testing::ValuesIn(all_engines()),
                         [](const auto& engine) { return engine.param.name; });

TEST_P(StoreMembership, AStoreOfOneProcessHasNoMembers) {
  const auto side = open("a:1");
  EXPECT_EQ(side->is_member(), is_shared());
  EXPECT_EQ(side->is_shared(), is_shared());
}

TEST_P(StoreMembership, ABeatShowsWhoLivesAndWhoOwnsWhat) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  EXPECT_NE(a->self(), 0u);
  EXPECT_NE(a->self(), b->self());
  b->beat();
  ClusterView view = a->beat();
  ASSERT_EQ(view.members.size(), 2u);
  EXPECT_TRUE(std::is_sorted(view.members.begin(), view.members.end()));
  EXPECT_EQ(view.members[0].address, "a:1");
  EXPECT_EQ(view.members[0].id, a->self());
  EXPECT_GE(view.members[1].silence, Duration::zero());
  EXPECT_LT(view.members[1].silence, seconds(30));
  EXPECT_EQ(view.shards, std::vector<ShardOwner>(kShards));
  const Epoch epoch = a->take({1, 0}).value();
  b->beat(true);
  view = a->beat();
  EXPECT_EQ(view.shards[1], (ShardOwner{epoch, a->self()}));
  EXPECT_TRUE(view.members[1].is_leaving);
  EXPECT_FALSE(view.members[0].is_leaving);
}

TEST_P(StoreMembership, OfTwoThatTakeAShardOneIsRefused) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  const auto first = a->take({0, 0}), second = b->take({0, 0});
  ASSERT_TRUE(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFenced);
  EXPECT_EQ(b->beat().shards[0].owner, a->self());
}

TEST_P(StoreMembership, WhoTakesAShardGetsItsRecordsAndTheOneBeforeWritesNothingMore) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  const Epoch old_epoch = a->take({2, 0}).value();
  ASSERT_TRUE(a->put({2, old_epoch}, 1));
  Contents loaded;
  const auto epoch = b->take({2, old_epoch}, &loaded);
  ASSERT_TRUE(epoch) << epoch.error().message;
  EXPECT_GT(epoch.value(), old_epoch);
  EXPECT_EQ(loaded.tasks.size(), 1u);
  EXPECT_EQ(a->put({2, old_epoch}, 2).error().code, Code::kFenced);
  EXPECT_TRUE(b->put({2, epoch.value()}, 3));
}

TEST_P(StoreMembership, AReleasedShardIsNobodysAndItsOldOwnerIsFenced) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  const Epoch kept = a->take({0, 0}).value(), given = a->take({1, 0}).value();
  ASSERT_TRUE(a->release({{1, given}, {0, kept + 7}}));
  const ClusterView view = b->beat();
  EXPECT_EQ(view.shards[0], (ShardOwner{kept, a->self()}));
  EXPECT_EQ(view.shards[1].owner, 0u);
  EXPECT_GT(view.shards[1].epoch, given);
  EXPECT_EQ(a->put({1, given}, 1).error().code, Code::kFenced);
  EXPECT_TRUE(a->put({0, kept}, 1));
  EXPECT_TRUE(b->take({1, view.shards[1].epoch}));
}

TEST_P(StoreMembership, WhoLeavesIsGoneAndItsShardsAreNobodys) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  const Epoch epoch = a->take({0, 0}).value();
  ASSERT_TRUE(a->leave());
  const ClusterView view = b->beat();
  ASSERT_EQ(view.members.size(), 1u);
  EXPECT_EQ(view.members[0].id, b->self());
  EXPECT_EQ(view.shards[0].owner, 0u);
  EXPECT_EQ(a->put({0, epoch}, 1).error().code, Code::kFenced);
}

TEST_P(StoreMembership, AClaimOfTheWholeStoreTakesAShardFromItsMember) {
  if (!is_shared()) return;
  const auto a = open("a:1"), b = open("b:2");
  const Epoch epoch = a->take({0, 0}).value();
  ASSERT_TRUE(b->driver().claim_all());
  EXPECT_EQ(a->put({0, epoch}, 1).error().code, Code::kFenced);
  EXPECT_EQ(a->beat().shards[0].owner, 0u);
}

}  // namespace
}  // namespace skep::contract
