// SPDX-License-Identifier: Apache-2.0
// The books of the held leases: order, stages, and what each move leaves behind.
#include "worker/held_leases.h"

#include <gtest/gtest.h>

namespace skep::worker {
namespace {

using Stage = HeldLeases::Stage;

api::v1::Lease lease(std::string name) {
  api::v1::Lease out;
  out.set_lease(std::move(name));
  out.set_body("body");
  return out;
}

api::v1::Outcome outcome(std::string name, std::string result = "r") {
  api::v1::Outcome out;
  out.set_lease(std::move(name));
  out.set_result(std::move(result));
  return out;
}

// Leases `names`, all finished with `bytes` of result.
HeldLeases finished(std::initializer_list<const char*> names, std::size_t bytes = 1) {
  HeldLeases held;
  for (const auto* name : names) {
    held.accept(lease(name));
    held.start_next(Pool::kLanes);
    held.finish(outcome(name, std::string(bytes, 'x')));
  }
  return held;
}

TEST(HeldLeases, SameLeaseIsTakenOnce) {
  HeldLeases held;
  EXPECT_TRUE(held.accept(lease("a")));
  EXPECT_FALSE(held.accept(lease("a")));
  EXPECT_FALSE(held.accept(lease("")));
  EXPECT_EQ(held.waiting(), 1u);
}

TEST(HeldLeases, TheTraceIsKnownUntilTheLeaseIsForgotten) {
  HeldLeases held;
  api::v1::Lease traced = lease("a");
  traced.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  api::v1::Lease broken = lease("b");
  broken.set_traceparent("0");
  held.accept(traced);
  held.accept(broken);
  EXPECT_EQ(held.trace_id("a"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(held.trace_id("b"), "");
  EXPECT_EQ(held.trace_id("c"), "");
  held.start_next(Pool::kLanes);
  held.finish(outcome("a"));
  EXPECT_EQ(held.trace_id("a"), "0af7651916cd43dd8448eb211c80319c");
  held.forget("a");
  EXPECT_EQ(held.trace_id("a"), "");
}

TEST(HeldLeases, OldestStartsFirstAndTakesItsBodyAlong) {
  HeldLeases held;
  held.accept(lease("b"));
  held.accept(lease("a"));
  const auto started = held.start_next(Pool::kLanes);
  ASSERT_TRUE(started);
  EXPECT_EQ(started->lease(), "b");
  EXPECT_EQ(started->body(), "body");
  EXPECT_EQ(held.running(), 1u);
  EXPECT_EQ(held.waiting(), 1u);
}

TEST(HeldLeases, OnlyWhatRunsCanFinish) {
  HeldLeases held;
  held.accept(lease("a"));
  EXPECT_FALSE(held.finish(outcome("a")));
  EXPECT_FALSE(held.finish(outcome("z")));
  held.start_next(Pool::kLanes);
  EXPECT_TRUE(held.finish(outcome("a")));
  EXPECT_FALSE(held.finish(outcome("a")));
  EXPECT_EQ(held.running(), 0u);
  EXPECT_EQ(held.undelivered(), 1u);
}

TEST(HeldLeases, BatchesKeepTheOrderOfFinishingAlsoAfterAFailedDelivery) {
  HeldLeases held = finished({"c", "a", "b"});
  auto batch = held.take_batch(2, 1'000);
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].lease(), "c");
  EXPECT_EQ(held.delivering(), 2u);
  held.put_back();
  batch = held.take_batch(10, 1'000);
  ASSERT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch[0].lease(), "c");
  EXPECT_EQ(batch[1].lease(), "a");
  EXPECT_EQ(batch[2].lease(), "b");
}

TEST(HeldLeases, BatchesAreBoundedByBytesButNeverEmpty) {
  HeldLeases held = finished({"a", "b", "c"}, 100);
  EXPECT_EQ(held.take_batch(10, 250).size(), 2u);
  EXPECT_EQ(held.take_batch(10, 1).size(), 1u);
  EXPECT_TRUE(held.take_batch(10, 1).empty());
}

TEST(HeldLeases, ForgettingReturnsEveryCountToZero) {
  HeldLeases held = finished({"f", "d"});
  held.take_batch(1, 1'000);
  held.accept(lease("r"));
  held.start_next(Pool::kLanes);
  held.accept(lease("w"));
  for (const auto* name : {"f", "d", "r", "w", "z"}) held.forget(name);
  EXPECT_TRUE(held.is_empty());
  EXPECT_EQ(held.waiting() + held.running() + held.undelivered() + held.delivering(), 0u);
  EXPECT_EQ(held.outcome_bytes(), 0u);
}

TEST(HeldLeases, HeartbeatListsAllButTheLost) {
  HeldLeases held = finished({"f", "lost"});
  held.mark_lost("lost");
  held.mark_lost("unknown");
  held.accept(lease("r"));
  held.start_next(Pool::kLanes);
  held.accept(lease("w"));
  api::v1::HeartbeatRequest request;
  held.list(request);
  ASSERT_EQ(request.leases_size(), 3);
  EXPECT_EQ(request.leases(0).lease(), "f");
  EXPECT_TRUE(request.leases(0).started());
  EXPECT_TRUE(request.leases(1).started());
  EXPECT_EQ(request.leases(2).lease(), "w");
  EXPECT_FALSE(request.leases(2).started());
  EXPECT_EQ(held.stage("lost"), Stage::kFinished);
}

TEST(HeldLeases, WhatWaitsAndWhatRunsCanBeTakenOut) {
  HeldLeases held = finished({"f"});
  held.accept(lease("r"));
  held.start_next(Pool::kLanes);
  held.accept(lease("w2"));
  held.accept(lease("w1"));
  EXPECT_EQ(held.take_waiting(), (std::vector<std::string>{"w2", "w1"}));
  EXPECT_EQ(held.take_running(), std::vector<std::string>{"r"});
  EXPECT_EQ(held.stage("f"), Stage::kFinished);
  EXPECT_EQ(held.running() + held.waiting(), 0u);
}

TEST(HeldLeases, CommandsAndHashesWaitApart) {
  HeldLeases held;
  const auto give = [&](const std::string& name, const std::string& kind) {
    api::v1::Lease lease;
    lease.set_lease(name);
    lease.set_kind(kind);
    held.accept(std::move(lease));
  };
  give("c1", "command");
  give("h1", "sha512");
  give("c2", "command");
  EXPECT_EQ(held.waiting(Pool::kCommands), 2u);
  EXPECT_EQ(held.waiting(Pool::kLanes), 1u);
  EXPECT_EQ(held.start_next(Pool::kLanes)->lease(), "h1");
  EXPECT_FALSE(held.start_next(Pool::kLanes).has_value());
  EXPECT_EQ(held.start_next(Pool::kCommands)->lease(), "c1");
  EXPECT_EQ(held.running(Pool::kCommands), 1u);
  EXPECT_EQ(held.running(), 2u);
  held.forget("c1");
  EXPECT_EQ(held.running(Pool::kCommands), 0u);
  EXPECT_EQ(held.take_waiting(), std::vector<std::string>{"c2"});
}

TEST(HeldLeases, RunningLeasesAreAskedBackOnce) {
  HeldLeases held;
  for (const auto* name : {"a", "b", "c"}) {
    api::v1::Lease lease;
    lease.set_lease(name);
    lease.set_kind("sha512");
    lease.set_keep_checkpoints(std::string(name) != "b");
    held.accept(std::move(lease));
  }
  held.start_next(Pool::kLanes);
  held.start_next(Pool::kLanes);
  EXPECT_TRUE(held.can_ask_back(true));
  EXPECT_EQ(held.ask_back(true), std::vector<std::string>{"a"});  // b keeps none, c waits
  EXPECT_FALSE(held.can_ask_back(true));
  EXPECT_TRUE(held.can_ask_back(false));
  EXPECT_TRUE(held.is_asked_back("a"));
  EXPECT_FALSE(held.is_asked_back("b"));
  EXPECT_FALSE(held.is_asked_back("unknown"));
  EXPECT_EQ(held.ask_back(false), std::vector<std::string>{"b"});
  EXPECT_TRUE(held.ask_back(false).empty());
  // One that finishes all the same is as good as any.
  api::v1::Outcome outcome;
  outcome.set_lease("a");
  EXPECT_TRUE(held.finish(std::move(outcome)));
  EXPECT_FALSE(held.is_asked_back("a"));
}

}  // namespace
}  // namespace skep::worker
