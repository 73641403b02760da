// SPDX-License-Identifier: Apache-2.0
// Goal: after any history of commits, claims, closings, crashes and power losses every engine holds what the
// reference holds. Method: histories drawn from a seed; MemoryTables is the oracle. After a power loss the
// state must be the oracle's after some of the soft commits that no durable one followed, a prefix of them.
#include <gtest/gtest.h>

#include "driver.h"
#include "engines.h"
#include "history.h"
#include "store/memory_tables.h"

namespace skep::contract {
namespace {

using store::Sync;

constexpr ShardId kShards = 3;
constexpr int kSteps = 150;

class StoreSequence : public ::testing::TestWithParam<EngineKind> {
 protected:
  void open() {
    auto opened = engine_->open(kShards);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(opened.value());
    driver_ = std::make_unique<Driver>(*store_);
  }
  void leave() {
    driver_.reset();
    store_.reset();
  }
  void claim_all() {
    const auto claimed = driver_->claim_all();
    ASSERT_TRUE(claimed) << claimed.error().message;
    epochs_ = claimed.value();
    for (ShardId shard = 0; shard < kShards; ++shard) {
      ASSERT_EQ(oracle_.claim(shard).value(), epochs_[shard]);
    }
  }
  void compare() {
    const auto contents = driver_->contents(epochs_);
    ASSERT_TRUE(contents) << contents.error().message;
    ASSERT_EQ(contents.value(), contents_of(oracle_));
  }

  void commit(History& history) {
    auto epochs = epochs_;
    Random& random = history.random();
    if (random.chance(0.1)) epochs[random.below(kShards)] += random.chance(0.5) ? 1 : -1;
    const Sync sync = history.sync();
    const auto batches = history.next(epochs);
    const auto expected = oracle_.apply(batches, sync);
    const auto result = driver_->commit(batches, sync);
    ASSERT_EQ(result.has_value(), expected.has_value());
    if (!result) {
      ASSERT_EQ(result.error().code, expected.error().code);
    }
  }
  // Many at once, which complete in order.
  void commit_burst(History& history) {
    std::vector<std::future<Result<void>>> results;
    for (int i = 0; i < 10; ++i) {
      const Sync sync = history.sync();
      auto batches = history.next(epochs_);
      ASSERT_TRUE(oracle_.apply(batches, sync));
      results.push_back(driver_->begin_commit(std::move(batches), sync));
    }
    for (auto& result : results) ASSERT_TRUE(result.get());
  }
  void close() {
    driver_.reset();
    ASSERT_TRUE(store_->close());
    leave();
    oracle_.make_durable();
    open();
    claim_all();
    compare();
  }
  void end_process() {
    leave();
    open();
    settle();
  }
  void lose_power(Random& random) {
    engine_->power_off();
    leave();
    engine_->power_on(random);
    open();
    settle();
  }
  // Finds the prefix of soft commits that survived.
  void settle() {
    const auto claimed = driver_->claim_all();
    ASSERT_TRUE(claimed) << claimed.error().message;
    epochs_ = claimed.value();
    const auto contents = driver_->contents(epochs_);
    ASSERT_TRUE(contents) << contents.error().message;
    const std::size_t soft = oracle_.soft_commits();
    for (std::size_t lost = 0; lost <= soft; ++lost) {
      store::MemoryTables candidate = oracle_;
      candidate.crash(soft - lost);
      for (ShardId shard = 0; shard < kShards; ++shard)
        ASSERT_EQ(candidate.claim(shard).value(), epochs_[shard]);
      if (contents_of(candidate) != contents.value()) continue;
      oracle_ = std::move(candidate);
      lost_commits_ += lost;
      return;
    }
    FAIL() << "no prefix of the " << soft << " soft commits gives what is stored";
  }

  const std::unique_ptr<Engine> engine_ = GetParam().make();
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Driver> driver_;
  std::vector<Epoch> epochs_;
  store::MemoryTables oracle_{kShards};
  std::size_t lost_commits_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Engines, StoreSequence, ::testing::ValuesIn(all_engines()),
                         [](const auto& engine) { return engine.param.name; });

TEST_P(StoreSequence, AnyHistoryGivesWhatTheReferenceHolds) {
  if (!GetParam().why_not.empty()) GTEST_SKIP() << GetParam().why_not;
  std::size_t lost_commits = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed, kShards);
    if (store_ == nullptr) open();
    claim_all();
    for (int step = 0; step < kSteps; ++step) {
      const auto dice = history.random().below(100);
      if (dice < 70) {
        commit(history);
      } else if (dice < 85) {
        commit_burst(history);
      } else if (dice < 90) {
        compare();
      } else if (dice < 93) {
        claim_all();
      } else if (dice < 95) {
        close();
      } else if (dice < 97) {
        end_process();
      } else {
        lose_power(history.random());
      }
      ASSERT_FALSE(HasFatalFailure()) << "step " << step;
    }
    compare();
    lost_commits += std::exchange(lost_commits_, 0);
  }
  EXPECT_GT(lost_commits, 0u) << "the power losses of this test lost nothing, so they prove nothing";
}

}  // namespace
}  // namespace skep::contract
