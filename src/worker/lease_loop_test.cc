// SPDX-License-Identifier: Apache-2.0
// The lease loop, one rule at a time. Method: inputs in, actions out; time is an argument.
#include "worker/lease_loop.h"

#include <functional>
#include <vector>

#include "worker/testing/lease_loop_fixture.h"

namespace skep::worker {
namespace {

TEST_F(LeaseLoopTest, RegistersFirstThenAsksForSlotsAndPrefetch) {
  const auto first = loop.tick(now);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(find<DoRegister>(first));
  EXPECT_TRUE(loop.tick(now).empty());
  const auto second = loop.on_registered(now, registered());
  ASSERT_TRUE(find<DoAcquire>(second));
  EXPECT_EQ(find<DoAcquire>(second)->max, 3u);
  EXPECT_EQ(find<DoAcquire>(second)->wait, seconds(30));
  EXPECT_EQ(loop.worker_id(), "w1");
}

TEST_F(LeaseLoopTest, StartsWhatTheSlotsHoldAndKeepsTheRestWaiting) {
  begin();
  const auto actions = loop.on_acquired(now, leases({"a", "b", "c"}));
  EXPECT_EQ(count<DoStart>(actions), 2u);
  EXPECT_EQ(count<DoAcquire>(actions), 0u);
  EXPECT_EQ(loop.running(), 2u);
  EXPECT_EQ(loop.waiting(), 1u);
  const auto more = loop.on_finished(now, outcome("a"));
  ASSERT_TRUE(find<DoStart>(more));
  EXPECT_EQ(find<DoStart>(more)->lease.lease(), "c");
  ASSERT_TRUE(find<DoAcquire>(more));
  EXPECT_EQ(find<DoAcquire>(more)->max, 1u);
}

TEST_F(LeaseLoopTest, OutcomesThatFinishMeanwhileShareTheNextCall) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  EXPECT_EQ(find<DoComplete>(loop.on_finished(now, outcome("a")))->outcomes.size(), 1u);
  EXPECT_FALSE(find<DoComplete>(loop.on_finished(now, outcome("b"))));
  EXPECT_FALSE(find<DoComplete>(loop.on_finished(now, outcome("c"))));
  EXPECT_EQ(loop.finished(), 3u);
  const auto actions = loop.on_completed(now, settled({{"a", "ok"}}));
  ASSERT_TRUE(find<DoComplete>(actions));
  EXPECT_EQ(find<DoComplete>(actions)->outcomes.size(), 2u);
  EXPECT_EQ(loop.finished(), 2u);
}

TEST_F(LeaseLoopTest, ResultIsKeptAndOfferedUntilAManagerTakesIt) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  loop.on_finished(now, outcome("a"));
  for (const Code code : {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome, Code::kExhausted,
                          Code::kUnauthenticated, Code::kForbidden}) {
    auto actions = loop.on_completed(now, down(code));
    while (!find<DoComplete>(actions)) actions = next();
    EXPECT_EQ(find<DoComplete>(actions)->outcomes[0].result(), "r");
    EXPECT_EQ(loop.finished(), 1u);
  }
  loop.on_completed(now, settled({{"a", "ok"}}));
  EXPECT_EQ(loop.finished(), 0u);
}

TEST_F(LeaseLoopTest, OutcomeThatIsRefusedForGoodIsDroppedAndOneThatIsNotIsKept) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  loop.on_finished(now, outcome("a"));
  loop.on_completed(now, settled({{"a", "stale_lease"}}));
  EXPECT_EQ(loop.finished(), 0u);
  loop.on_finished(now, outcome("b"));
  auto actions = loop.on_completed(now, settled({{"b", "unavailable"}}));
  EXPECT_EQ(loop.finished(), 1u);
  while (!find<DoComplete>(actions)) actions = next();
  actions = loop.on_completed(now, settled({}));  // says nothing about it
  EXPECT_EQ(loop.finished(), 1u);
}

TEST_F(LeaseLoopTest, BatchThatIsRefusedAsAWholeIsHalvedUntilOneIsLeftToGiveUp) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  loop.on_finished(now, outcome("a"));
  loop.on_finished(now, outcome("b"));
  auto actions = loop.on_completed(now, down());
  while (!find<DoComplete>(actions)) actions = next();
  EXPECT_EQ(find<DoComplete>(actions)->outcomes.size(), 2u);
  actions = loop.on_completed(now, down(Code::kInvalid));
  while (!find<DoComplete>(actions)) actions = next();
  EXPECT_EQ(find<DoComplete>(actions)->outcomes.size(), 1u);
  loop.on_completed(now, down(Code::kInvalid));
  EXPECT_EQ(loop.finished(), 1u);
}

TEST_F(LeaseLoopTest, HeartbeatsAtTheManagersIntervalWithAllThatIsHeld) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  loop.on_finished(now, outcome("b"));  // c starts
  EXPECT_TRUE(later(milliseconds(1'999)).empty());
  const auto actions = later(milliseconds(1));
  const auto* beat = find<DoHeartbeat>(actions);
  ASSERT_TRUE(beat);
  ASSERT_EQ(beat->request.leases_size(), 3);
  EXPECT_FALSE(beat->request.draining());
  EXPECT_EQ(beat->request.wait_ms(), 2'000u);
  EXPECT_FALSE(find<DoHeartbeat>(later(seconds(10))));  // one is under way
  loop.on_heartbeat(now, v1::HeartbeatReply{});
}

TEST_F(LeaseLoopTest, FirstHeartbeatGoesWithTheFirstAcquireSoThatNoLeaseIsWithoutAnAnswerThatWaits) {
  loop.tick(now);
  const auto actions = loop.on_registered(now, registered());
  EXPECT_TRUE(find<DoHeartbeat>(actions));
  EXPECT_TRUE(find<DoAcquire>(actions));
}

TEST_F(LeaseLoopTest, HeartbeatsAreNoFurtherApartThanAnAnswerMayWait) {
  loop.tick(now);
  v1::RegisterReply reply = registered();
  reply.set_heartbeat_ms(3'600'000);
  const auto actions = loop.on_registered(now, reply);
  ASSERT_TRUE(find<DoHeartbeat>(actions));
  EXPECT_EQ(find<DoHeartbeat>(actions)->request.wait_ms(), 300'000u);
  loop.on_heartbeat(now, v1::HeartbeatReply{});
  EXPECT_FALSE(find<DoHeartbeat>(later(minutes(5) - milliseconds(1))));
  EXPECT_TRUE(find<DoHeartbeat>(later(milliseconds(1))));
}

TEST_F(LeaseLoopTest, AnswerThatToldSomethingIsFollowedByAnotherHeartbeatSoon) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  ASSERT_TRUE(find<DoHeartbeat>(later(seconds(2))));
  v1::HeartbeatReply reply;
  const std::vector<std::function<void()>> news{[&] { reply.add_cancelled("a"); },
                                                [&] { reply.add_lost("b"); }, [&] { reply.set_drain(true); }};
  for (const auto& say : news) {
    reply.Clear();
    say();
    now += milliseconds(500);
    loop.on_heartbeat(now, reply);
    EXPECT_FALSE(find<DoHeartbeat>(later(milliseconds(49))));
    EXPECT_TRUE(find<DoHeartbeat>(later(milliseconds(1))));
  }
  // It drains by now: to be told again is no news.
  loop.on_heartbeat(now, reply);
  EXPECT_FALSE(find<DoHeartbeat>(later(milliseconds(1'999))));
  EXPECT_TRUE(find<DoHeartbeat>(later(milliseconds(1))));
}

TEST_F(LeaseLoopTest, AnswerThatTellsNothingEarlyKeepsThePace) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  later(seconds(2));
  now += milliseconds(500);
  loop.on_heartbeat(now, v1::HeartbeatReply{});
  EXPECT_FALSE(find<DoHeartbeat>(later(milliseconds(1'499))));
  EXPECT_TRUE(find<DoHeartbeat>(later(milliseconds(1))));
}

TEST_F(LeaseLoopTest, LostAndCancelledLeasesAreStoppedAndDropped) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  later(seconds(2));
  v1::HeartbeatReply reply;
  reply.add_lost("a");
  reply.add_lost("c");  // waits
  reply.add_lost("unknown");
  reply.add_cancelled("b");
  const auto actions = loop.on_heartbeat(now, reply);
  EXPECT_EQ(count<DoStop>(actions), 2u);
  EXPECT_EQ(loop.running() + loop.waiting(), 0u);
  EXPECT_TRUE(loop.on_finished(now, outcome("a")).empty());
  EXPECT_EQ(loop.finished(), 0u);
}

TEST_F(LeaseLoopTest, ResultOfALostLeaseIsStillOfferedButThatOfACancelledTaskIsNot) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  loop.on_finished(now, outcome("a"));  // under way
  loop.on_finished(now, outcome("b"));
  loop.on_finished(now, outcome("c"));
  later(seconds(2));
  v1::HeartbeatReply reply;
  reply.add_cancelled("a");
  reply.add_lost("b");
  reply.add_cancelled("c");
  loop.on_heartbeat(now, reply);
  EXPECT_EQ(loop.finished(), 2u);
  const auto actions = loop.on_completed(now, settled({{"a", "conflict"}}));
  ASSERT_TRUE(find<DoComplete>(actions));
  ASSERT_EQ(find<DoComplete>(actions)->outcomes.size(), 1u);
  EXPECT_EQ(find<DoComplete>(actions)->outcomes[0].lease(), "b");
  const auto beat = later(seconds(2));
  EXPECT_EQ(find<DoHeartbeat>(beat)->request.leases_size(), 0);  // a is gone, b is lost
}

TEST_F(LeaseLoopTest, UnknownWorkerRegistersAgainAndPresentsWhatItHolds) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  later(seconds(2));
  auto actions = loop.on_heartbeat(now, down(Code::kNotFound));
  EXPECT_TRUE(find<DoRegister>(actions));
  EXPECT_EQ(count<DoStop>(actions), 0u);
  actions = loop.on_registered(now, registered("w2"));
  ASSERT_TRUE(find<DoHeartbeat>(actions));
  EXPECT_EQ(find<DoHeartbeat>(actions)->request.leases_size(), 3);
  EXPECT_EQ(loop.worker_id(), "w2");
  EXPECT_EQ(loop.running(), 2u);
}

TEST_F(LeaseLoopTest, NotFoundForTheOldIdDoesNotUndoTheNewRegistration) {
  begin();
  later(seconds(2));  // the heartbeat is under way, and so is the long-poll
  loop.on_heartbeat(now, down(Code::kNotFound));
  loop.on_registered(now, registered("w2"));
  EXPECT_FALSE(find<DoRegister>(loop.on_acquired(now, down(Code::kNotFound))));
}

TEST_F(LeaseLoopTest, SilentManagerIsLeftOnceForAllCallsThatFailedThere) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  loop.on_finished(now, outcome("a"));
  later(seconds(2));
  EXPECT_EQ(count<DoNextManager>(loop.on_completed(now, down())), 1u);
  EXPECT_EQ(count<DoNextManager>(loop.on_heartbeat(now, down(Code::kUnknownOutcome))), 0u);
  EXPECT_EQ(count<DoNextManager>(loop.on_acquired(now, down(Code::kTimeout))), 0u);
  EXPECT_EQ(loop.finished(), 1u);
}

TEST_F(LeaseLoopTest, FailedCallsBackOffWithinTheirBound) {
  begin();
  Duration longest{};
  for (int i = 0; i < 30; ++i) {
    const Instant failed_at = now;
    auto actions = loop.on_acquired(now, down(Code::kInternal));
    while (!find<DoAcquire>(actions)) {
      actions = next();
      if (find<DoHeartbeat>(actions)) {
        const auto more = loop.on_heartbeat(now, v1::HeartbeatReply{});
        actions.insert(actions.end(), more.begin(), more.end());
      }
    }
    longest = std::max(longest, now - failed_at);
    EXPECT_LE(now - failed_at, seconds(5));
  }
  EXPECT_GT(longest, seconds(2));
}

TEST_F(LeaseLoopTest, EmptyAnswerAtOnceIsNotFollowedByAStorm) {
  begin();
  int calls = 0;
  const Instant end = now + seconds(60);
  while (now < end) {
    auto actions = loop.on_acquired(now, v1::AcquireReply{});
    while (!find<DoAcquire>(actions)) {
      actions = next();
      if (find<DoHeartbeat>(actions)) {
        const auto more = loop.on_heartbeat(now, v1::HeartbeatReply{});
        actions.insert(actions.end(), more.begin(), more.end());
      }
    }
    ++calls;
  }
  EXPECT_LT(calls, 100);
}

TEST_F(LeaseLoopTest, EmptyAnswerAfterItsWaitIsFollowedAtOnce) {
  begin();
  now += seconds(30);
  EXPECT_TRUE(find<DoAcquire>(loop.on_acquired(now, v1::AcquireReply{})));
}

TEST_F(LeaseLoopTest, LeaseThatIsHeldAlreadyIsIgnored) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  const auto actions = loop.on_acquired(now, leases({"a", "b", "b"}));
  EXPECT_EQ(count<DoStart>(actions), 1u);
  EXPECT_EQ(loop.running() + loop.waiting(), 2u);
}

TEST_F(LeaseLoopTest, OrphanExits) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  Actions actions;
  while (!find<DoExit>(actions)) {
    if (find<DoHeartbeat>(actions)) {
      actions = loop.on_heartbeat(now, down());
    } else if (find<DoAcquire>(actions)) {
      actions = loop.on_acquired(now, down());
    } else {
      actions = next();
    }
  }
  EXPECT_EQ(find<DoExit>(actions)->code, 0);
  EXPECT_EQ(count<DoStop>(actions), 1u);
  EXPECT_EQ(now, from_unix_ms(1'000'000) + minutes(10));
  EXPECT_TRUE(later(hours(1)).empty());
  EXPECT_EQ(loop.wake_at(), kNever);
}

TEST_F(LeaseLoopTest, WorkerThatIsRefusedAtItsFirstRegistrationExitsWithTheReason) {
  loop.tick(now);
  const auto actions = loop.on_registered(now, fail(Code::kInvalid, "name: too long"));
  ASSERT_TRUE(find<DoExit>(actions));
  EXPECT_EQ(find<DoExit>(actions)->code, 2);
  EXPECT_NE(find<DoExit>(actions)->reason.find("name: too long"), std::string::npos);
}

TEST_F(LeaseLoopTest, WorkerWhoseTokenIsRefusedExitsAtItsFirstRegistrationAndTriesOnLater) {
  loop.tick(now);
  const auto actions = loop.on_registered(now, fail(Code::kUnauthenticated, "no token"));
  ASSERT_TRUE(find<DoExit>(actions));
  EXPECT_EQ(find<DoExit>(actions)->code, 3);
}

TEST_F(LeaseLoopTest, WorkerThatWasLetInOutlivesTheEndOfItsToken) {
  begin();
  EXPECT_FALSE(find<DoExit>(loop.on_acquired(now, fail(Code::kUnauthenticated, "was revoked"))));
  EXPECT_FALSE(find<DoExit>(later(minutes(1))));
}

// ---- drain ----

TEST_F(LeaseLoopTest, DrainReleasesWhatWaitsFinishesWhatRunsAndExits) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  auto actions = loop.drain(now, DrainCause::kSignal);
  ASSERT_TRUE(find<DoRelease>(actions));
  ASSERT_EQ(find<DoRelease>(actions)->leases.size(), 1u);
  EXPECT_EQ(find<DoRelease>(actions)->leases[0].lease(), "c");
  EXPECT_FALSE(find<DoRelease>(actions)->leases[0].started());
  EXPECT_EQ(count<DoStop>(actions), 0u);
  EXPECT_TRUE(loop.is_draining());
  v1::ReleaseReply released;
  loop.on_released(now, released);
  loop.on_finished(now, outcome("a"));
  EXPECT_TRUE(loop.on_finished(now, outcome("b")).empty());
  actions = loop.on_completed(now, settled({{"a", "ok"}}));
  EXPECT_TRUE(find<DoComplete>(actions));
  EXPECT_FALSE(find<DoExit>(actions));
  actions = loop.on_completed(now, settled({{"b", "ok"}}));
  ASSERT_TRUE(find<DoExit>(actions));
  EXPECT_EQ(find<DoExit>(actions)->code, 0);
}

TEST_F(LeaseLoopTest, DrainHandsBackWhatDoesNotFinishInTime) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  loop.on_acquired(now, v1::AcquireReply{});
  loop.drain(now, DrainCause::kOrder);
  EXPECT_EQ(count<DoHandBack>(later(seconds(1))), 0u);  // none has a checkpoint
  EXPECT_EQ(count<DoHandBack>(later(seconds(19))), 2u);
  EXPECT_GT(loop.wake_at(), now);  // the threads may take their time
  auto actions = loop.on_handed_back(now, returned("a", 70));
  ASSERT_TRUE(find<DoRelease>(actions));
  ASSERT_EQ(find<DoRelease>(actions)->leases.size(), 1u);
  EXPECT_TRUE(find<DoRelease>(actions)->leases[0].started());
  EXPECT_EQ(find<DoRelease>(actions)->leases[0].iterations_done(), 70u);
  loop.on_handed_back(now, returned("b", 0));
  EXPECT_TRUE(find<DoRelease>(loop.on_released(now, v1::ReleaseReply{})));
  EXPECT_TRUE(find<DoExit>(loop.on_released(now, v1::ReleaseReply{})));
}

TEST_F(LeaseLoopTest, WhatRunsOnAMachineThatIsTakenAwayGetsMostOfItsTwoMinutes) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  loop.on_acquired(now, v1::AcquireReply{});
  loop.drain(now, DrainCause::kSpotNotice);
  EXPECT_EQ(count<DoHandBack>(later(seconds(89))), 0u);
  EXPECT_EQ(count<DoHandBack>(later(seconds(1))), 2u);
}

TEST_F(LeaseLoopTest, WhatTheMachineWasToldGoesWithEveryHeartbeat) {
  begin();
  EXPECT_EQ(find<DoHeartbeat>(later(seconds(2)))->request.notice(), "");
  loop.note("rebalance recommendation");
  loop.on_heartbeat(now, v1::HeartbeatReply{});
  EXPECT_EQ(find<DoHeartbeat>(later(seconds(2)))->request.notice(), "rebalance recommendation");
}

TEST_F(LeaseLoopTest, DrainHandsBackWhatCanGoOnElsewhereAtOnce) {
  begin();
  auto reply = leases({"short", "long"});
  for (auto& lease : *reply.mutable_leases()) {
    lease.set_kind("sha512");
    lease.set_keep_checkpoints(true);
  }
  loop.on_acquired(now, reply);
  loop.on_acquired(now, v1::AcquireReply{});
  EXPECT_EQ(count<DoHandBack>(loop.drain(now, DrainCause::kSignal)), 0u);
  EXPECT_EQ(loop.wake_at(), now + milliseconds(50));
  loop.on_finished(now, outcome("short"));
  loop.on_completed(now, settled({{"short", "ok"}}));
  const auto actions = later(milliseconds(50));
  ASSERT_EQ(count<DoHandBack>(actions), 1u);
  EXPECT_EQ(find<DoHandBack>(actions)->lease, "long");
  EXPECT_TRUE(find<DoRelease>(loop.on_handed_back(now, returned("long", 5))));
  EXPECT_TRUE(find<DoExit>(loop.on_released(now, v1::ReleaseReply{})));
}

TEST_F(LeaseLoopTest, TaskThatFinishesWhileItIsAskedBackIsDelivered) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  loop.on_acquired(now, v1::AcquireReply{});
  loop.drain(now, DrainCause::kOrder);
  EXPECT_EQ(count<DoHandBack>(later(seconds(20))), 1u);
  const auto actions = loop.on_finished(now, outcome("a"));
  ASSERT_TRUE(find<DoComplete>(actions));
  EXPECT_FALSE(find<DoRelease>(loop.on_handed_back(now, returned("a", 3))));
  EXPECT_TRUE(find<DoExit>(loop.on_completed(now, settled({{"a", "ok"}}))));
}

TEST_F(LeaseLoopTest, DrainedWorkerWithoutAManagerExitsSoonAfterTheDrainTimeout) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  loop.on_acquired(now, down());
  loop.drain(now, DrainCause::kSignal);
  loop.on_finished(now, outcome("a"));
  const Instant began = now;
  bool is_over = false;
  while (!is_over) {
    ASSERT_LE(now, began + seconds(25));
    const auto actions = next();
    is_over = find<DoExit>(actions) != nullptr;
    if (find<DoHeartbeat>(actions)) loop.on_heartbeat(now, down());
    if (find<DoComplete>(actions)) loop.on_completed(now, down());
    if (find<DoRelease>(actions)) loop.on_released(now, down());
  }
  EXPECT_GE(now, began + seconds(20));
}

TEST_F(LeaseLoopTest, SecondSignalHandsBackAtOnceAndTheThirdExits) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  loop.drain(now, DrainCause::kSignal);
  EXPECT_EQ(count<DoHandBack>(loop.drain(now, DrainCause::kOrder)), 0u);
  EXPECT_EQ(count<DoHandBack>(loop.drain(now, DrainCause::kSignal)), 2u);
  EXPECT_TRUE(find<DoExit>(loop.drain(now, DrainCause::kSignal)));
}

TEST_F(LeaseLoopTest, SignalAfterAnOrderToDrainHandsBackAtOnceAndTheNextExits) {
  begin();
  loop.on_acquired(now, leases({"a", "b"}));
  EXPECT_EQ(count<DoHandBack>(loop.drain(now, DrainCause::kOrder)), 0u);
  EXPECT_EQ(count<DoHandBack>(loop.drain(now, DrainCause::kSignal)), 2u);
  EXPECT_TRUE(find<DoRelease>(loop.on_handed_back(now, returned("a", 1))));
  EXPECT_TRUE(find<DoExit>(loop.drain(now, DrainCause::kSignal)));
}

TEST_F(LeaseLoopTest, LongPollIsAbandonedAndWhatItStillBringsIsReleased) {
  begin();
  EXPECT_TRUE(find<DoCancelAcquire>(loop.drain(now, DrainCause::kSignal)));
  const auto actions = loop.on_acquired(now, leases({"a"}));
  EXPECT_EQ(count<DoStart>(actions), 0u);
  ASSERT_TRUE(find<DoRelease>(actions));
  EXPECT_TRUE(find<DoExit>(loop.on_released(now, v1::ReleaseReply{})));
}

TEST_F(LeaseLoopTest, AbandonedLongPollThatNeverAnswersDoesNotHoldTheExit) {
  begin();
  EXPECT_FALSE(find<DoExit>(loop.drain(now, DrainCause::kSignal)));
  EXPECT_TRUE(find<DoExit>(next()));
  EXPECT_LE(now, from_unix_ms(1'000'000) + seconds(2));
}

TEST_F(LeaseLoopTest, AbandonedLongPollIsNoReasonToLeaveTheManager) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  loop.drain(now, DrainCause::kSpotNotice);
  EXPECT_EQ(count<DoNextManager>(loop.on_acquired(now, down())), 0u);
}

TEST_F(LeaseLoopTest, DrainOrderComesInEitherReply) {
  begin();
  v1::AcquireReply reply = leases({"a"});
  reply.set_drain(true);
  const auto actions = loop.on_acquired(now, reply);
  EXPECT_TRUE(loop.is_draining());
  EXPECT_TRUE(find<DoRelease>(actions));

  LeaseLoop other(options(), Random(1), now);
  other.tick(now);
  other.on_registered(now, registered());
  other.tick(now + seconds(2));
  v1::HeartbeatReply beat;
  beat.set_drain(true);
  EXPECT_TRUE(find<DoCancelAcquire>(other.on_heartbeat(now + seconds(2), beat)));
}

TEST_F(LeaseLoopTest, ReleaseIsRepeatedUntilItIsAnswered) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  auto actions = loop.drain(now, DrainCause::kSignal);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(find<DoRelease>(actions));
    EXPECT_EQ(find<DoRelease>(actions)->leases[0].lease(), "c");
    actions = loop.on_released(now, down());
    while (!find<DoRelease>(actions)) actions = next();
  }
  loop.on_released(now, v1::ReleaseReply{});
  EXPECT_EQ(loop.waiting(), 0u);
}

TEST_F(LeaseLoopTest, DrainBeforeRegistrationExitsAtOnce) {
  loop.tick(now);
  EXPECT_TRUE(find<DoExit>(loop.drain(now, DrainCause::kSignal)));
}

class PrefetchTest : public LeaseLoopTest {
 protected:
  PrefetchTest() : LeaseLoopTest(options(1, 8)) {}
};

TEST_F(PrefetchTest, HalfOfThePrefetchIsUsedUpBeforeMoreIsAsked) {
  begin();
  for (const auto* name : {"w", "x", "y", "z"}) {  // short ones, so that many are prefetched
    loop.on_acquired(now, leases({name}));
    loop.on_finished(now, outcome(name));
  }
  loop.on_acquired(now, leases({"a", "b", "c", "d", "e", "f", "g", "h", "i"}));
  EXPECT_EQ(loop.waiting(), 8u);
  int asked_at = 0;
  for (const auto* name : {"a", "b", "c", "d"}) {
    const auto actions = loop.on_finished(now, outcome(name));
    if (const auto* acquire = find<DoAcquire>(actions)) {
      asked_at = static_cast<int>(loop.waiting());
      EXPECT_EQ(acquire->max, 4u);
    }
  }
  EXPECT_EQ(asked_at, 4);
}

TEST_F(LeaseLoopTest, NothingComesAfterTheExitWhateverIsAnswered) {
  loop.tick(now);
  EXPECT_TRUE(find<DoExit>(loop.drain(now, DrainCause::kSignal)));
  EXPECT_TRUE(loop.on_registered(now, down(Code::kInvalid)).empty());
  EXPECT_TRUE(loop.on_registered(now, registered()).empty());
  EXPECT_TRUE(loop.on_acquired(now, leases({"a"})).empty());
  EXPECT_TRUE(loop.on_heartbeat(now, v1::HeartbeatReply()).empty());
  EXPECT_TRUE(loop.drain(now, DrainCause::kSignal).empty());
  EXPECT_TRUE(loop.tick(now + hours(1)).empty());
}

// Another server may have taken over the address of a manager that is gone.
class ForeignServerTest : public LeaseLoopTest, public testing::WithParamInterface<Code> {};
INSTANTIATE_TEST_SUITE_P(Answers, ForeignServerTest,
                         testing::Values(Code::kInternal, Code::kInvalid, Code::kUnauthenticated,
                                         Code::kForbidden));

TEST_P(ForeignServerTest, WhoeverAnswersNonsenseIsNoManager) {
  begin();
  const Instant end = now + 2 * options().orphan_timeout;
  Actions actions = loop.on_acquired(now, down(GetParam()));
  while (!find<DoExit>(actions) && now < end) {
    if (find<DoHeartbeat>(actions)) {
      actions = loop.on_heartbeat(now, down(GetParam()));
    } else {
      actions = next();
    }
    if (find<DoAcquire>(actions)) {
      for (auto& action : loop.on_acquired(now, down(GetParam()))) actions.push_back(std::move(action));
    }
  }
  ASSERT_TRUE(find<DoExit>(actions));
  EXPECT_TRUE(find<DoExit>(actions)->reason.starts_with("no manager has answered"));
}

// A manager that registers the worker and then does not know it is not asked in a loop without a pause.
TEST_F(LeaseLoopTest, ManagerThatForgetsTheWorkerAgainAndAgainIsNotHurried) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  const Instant began = now;
  Actions actions = later(seconds(2));
  for (int i = 0; i < 20; ++i) {
    while (!find<DoHeartbeat>(actions)) actions = next();
    ASSERT_TRUE(find<DoRegister>(loop.on_heartbeat(now, down(Code::kNotFound)))) << i;
    actions = loop.on_registered(now, registered());
  }
  EXPECT_GT(now - began, seconds(10));
}

}  // namespace
}  // namespace skep::worker
