// SPDX-License-Identifier: Apache-2.0
// Heartbeats tell what has begun and how far it is; checkpoints go along when they are due and wanted.
#include "worker/checkpoint_book.h"

#include <gtest/gtest.h>

namespace skep::worker {
namespace {

api::v1::Lease lease(const std::string& name, bool keep = true) {
  api::v1::Lease out;
  out.set_lease(name);
  out.set_keep_checkpoints(keep);
  return out;
}

class CheckpointBookTest : public ::testing::Test {
 protected:
  // The heartbeat's entry for the lease "a" at `at`, with so many iterations done; -1: it waits for a lane.
  api::v1::HeldLease beat(Duration at, int done, bool is_started = true) {
    api::v1::HeartbeatRequest request;
    auto& item = *request.add_leases();
    item.set_lease("a");
    item.set_started(is_started);
    std::vector<HashProgress> progress;
    if (done >= 0) progress.push_back({"a", {static_cast<std::uint64_t>(done), digest}});
    book.fill(request, progress, kStart + at);
    return request.leases(0);
  }

  static constexpr Instant kStart{seconds(100)};
  compute::Digest digest{7};
  CheckpointBook book{seconds(30)};
};

TEST_F(CheckpointBookTest, TellsHowFarATaskIsAndSendsItsDigestWhenDue) {
  book.begin(lease("a"), kStart);
  auto item = beat(seconds(2), 10);
  EXPECT_TRUE(item.started());
  EXPECT_EQ(item.iterations_done(), 10u);
  EXPECT_TRUE(item.checkpoint().empty());
  item = beat(seconds(30), 20);
  EXPECT_EQ(item.iterations_done(), 20u);
  EXPECT_EQ(item.checkpoint(), std::string(digest.begin(), digest.end()));
  book.settle(true);
  EXPECT_TRUE(beat(seconds(59), 30).checkpoint().empty());
  EXPECT_FALSE(beat(seconds(60), 40).checkpoint().empty());
}

TEST_F(CheckpointBookTest, CheckpointOfAFailedHeartbeatIsSentAgain) {
  book.begin(lease("a"), kStart);
  EXPECT_FALSE(beat(seconds(30), 20).checkpoint().empty());
  book.settle(false);
  EXPECT_FALSE(beat(seconds(32), 25).checkpoint().empty());
}

TEST_F(CheckpointBookTest, NoneIsSentOfATaskThatWantsNone) {
  book.begin(lease("a", false), kStart);
  const auto item = beat(seconds(300), 20);
  EXPECT_EQ(item.iterations_done(), 20u);
  EXPECT_TRUE(item.checkpoint().empty());
}

TEST_F(CheckpointBookTest, NoneIsSentBeforeTheFirstHash) {
  book.begin(lease("a"), kStart);
  const auto item = beat(seconds(300), 0);
  EXPECT_TRUE(item.started());
  EXPECT_TRUE(item.checkpoint().empty());
}

TEST_F(CheckpointBookTest, TaskThatWaitsForALaneHasNotStarted) {
  book.begin(lease("a"), kStart);
  EXPECT_FALSE(beat(seconds(2), -1).started());
}

TEST_F(CheckpointBookTest, WhatTheThreadsDoNotHaveIsLeftAsItIs) {
  EXPECT_TRUE(beat(seconds(2), -1, true).started());
  EXPECT_FALSE(beat(seconds(2), -1, false).started());
  book.begin(lease("a"), kStart);
  book.forget("a");
  EXPECT_TRUE(beat(seconds(300), 5).checkpoint().empty());
}

}  // namespace
}  // namespace skep::worker
