// SPDX-License-Identifier: Apache-2.0
// Goal: the reconciler on every combination of listed, not listed, heard and not heard. Method: each worked
// by hand.
#include "scaler/testing/reconciling.h"

namespace skep::scaler {
namespace {

using testing::Reconciling;

// ---- launching ----

TEST_F(Reconciling, LaunchesWhatIsMissingOnceAndSaysWhy) {
  const auto actions = run(3);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kLaunch);
  EXPECT_EQ(actions[0].count, 3u);
  EXPECT_EQ(actions[0].token, "launch-1");
  EXPECT_EQ(actions[0].reason, "3 are wanted, 0 run and 0 boot");
  EXPECT_TRUE(run(3).empty());  // under way
  started(3, "launch-1");
  EXPECT_TRUE(run(3).empty());  // booting
  EXPECT_EQ(reconciler.counts().booting, 3u);
  for (int i = 0; i < 3; ++i) heard("launch-1-" + std::to_string(i));
  EXPECT_TRUE(run(3).empty());
  EXPECT_EQ(reconciler.counts().running, 3u);
  EXPECT_EQ(reconciler.counts().started, 3u);
}

TEST_F(Reconciling, AListThatIsAheadOfTheReplyIsNotCountedTwice) {
  run(3);
  listed.push_back(instance("launch-1-0"));
  listed.push_back(instance("launch-1-1"));
  EXPECT_TRUE(run(3).empty());
  EXPECT_EQ(reconciler.existing(), 3u);
  EXPECT_EQ(launches(run(5)), 2u);
  listed.clear();
  started(3, "launch-1");
  EXPECT_EQ(reconciler.existing(), 5u);
  EXPECT_TRUE(run(5).empty());
  EXPECT_EQ(reconciler.counts().started, 3u);
}

TEST_F(Reconciling, AnOlderListDoesNotMeanThatWhatItLacksIsGone) {
  run(1);
  started(1, "launch-1");
  unlist("launch-1-0");
  EXPECT_TRUE(run(1).empty());
  heard("launch-1-0");
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().running, 1u);
}

TEST_F(Reconciling, LaunchesAtMostSoManyAtOnce) {
  EXPECT_EQ(launches(run(50)), 16u);
  EXPECT_EQ(launches(run(50)), 16u);
  EXPECT_EQ(launches(run(50)), 16u);
  EXPECT_EQ(launches(run(50)), 2u);
}

TEST_F(Reconciling, WorkersStartedByHandCountAndAreLeftAlone) {
  heard("");
  heard("from-elsewhere");
  EXPECT_EQ(launches(run(3)), 1u);
  started(1, "launch-1");
  heard("launch-1-0");
  EXPECT_EQ(reconciler.counts().running, 2u);
  const auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kDrain);
  EXPECT_EQ(actions[0].instance, "launch-1-0");
  EXPECT_EQ(reconciler.counts().running, 2u);
}

TEST_F(Reconciling, WorkersStartedByHandThatCanTakeNothingStandInForNoneOfItsOwn) {
  heard("").is_fit = false;
  EXPECT_EQ(launches(run(1)), 1u);
  started(1, "launch-1");
  heard("launch-1-0");
  EXPECT_TRUE(run(1).empty());         // neither another launch nor a drain
  EXPECT_EQ(launches(run(2, 2)), 0u);  // yet it counts towards the maximum
}

TEST_F(Reconciling, NeverAboveTheMaximumWhateverMayExist) {
  heard("");                            // 1 by hand
  ASSERT_EQ(launches(run(3, 10)), 2u);  // 2 that run
  started(2, "launch-1");
  heard("launch-1-0");
  heard("launch-1-1").is_draining = true;  // one of them drains
  EXPECT_EQ(launches(run(4, 10)), 2u);
  failed(2, Code::kUnknownOutcome);     // 2 of unknown outcome
  EXPECT_EQ(launches(run(10, 7)), 2u);  // 2 under way
  EXPECT_EQ(launches(run(10, 7)), 0u);
  EXPECT_EQ(reconciler.held_because(), "7 workers exist or may exist, and the maximum is 7");
}

TEST_F(Reconciling, LearnsHowLongABootTakes) {
  EXPECT_EQ(reconciler.learned_boot(), Duration::zero());
  run(1);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(1)});  // the prior
  started(1, "launch-1");
  run(1);  // what a launch's reply is always followed by
  wait(seconds(8));
  heard("launch-1-0");
  run(1);
  EXPECT_EQ(reconciler.learned_boot(), seconds(8));
  EXPECT_TRUE(reconciler.booting_ready_at().empty());
  run(2);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(8)});
  started(1, "launch-2");
  run(2);
  wait(seconds(4));
  heard("launch-2-0");
  reconciler.absorb(now, listed, workers);
  EXPECT_EQ(reconciler.learned_boot(), seconds(8));
  EXPECT_EQ(reconciler.counts().running, 2u);
  run(3);
  started(1, "launch-3");
  run(3);
  wait(seconds(4));
  heard("launch-3-0");
  reconciler.absorb(now, listed, workers);
  EXPECT_EQ(reconciler.learned_boot(), seconds(4));  // the one of 8 s was the exception
  run(4);
  started(1, "launch-4");
  run(4);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(4)});
  wait(seconds(5));
  run(4);
  EXPECT_EQ(reconciler.booting_ready_at(),
            std::vector<Instant>{now + seconds(3)});  // and this may be another
}

TEST_F(Reconciling, ABootingWorkerIsExpectedAsItsTypeOfMachineTakes) {
  const auto come_up = [&](int number, const char* type, Duration took) {
    const std::string token = "launch-" + std::to_string(number);
    run(static_cast<std::uint32_t>(number));
    started(1, token);
    listed.back().type = type;
    run(static_cast<std::uint32_t>(number));
    wait(took);
    heard(token + "-0");
    reconciler.absorb(now, listed, workers);
  };
  come_up(1, "small", seconds(4));
  come_up(2, "metal", seconds(12));
  come_up(3, "small", seconds(6));
  EXPECT_EQ(reconciler.boots_by_type(), (std::vector<TypeBoots>{{"metal", 1, seconds(12), seconds(12)},
                                                                {"small", 2, seconds(6), seconds(6)}}));
  run(4);
  started(1, "launch-4");
  listed.back().type = "metal";
  run(4);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(12)});
  listed.back().type = "small";
  run(4);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(6)});
  listed.back().type = "never seen";
  run(4);
  EXPECT_EQ(reconciler.booting_ready_at(), std::vector<Instant>{now + seconds(6)}) << "half of all";
}

TEST_F(Reconciling, WhatWasHeardAndWentAwayBetweenTwoLooksCrashedAndDidNotFailToBoot) {
  run(1);
  started(1, "launch-1");
  run(1);
  heard("launch-1-0");
  listed[0].state = InstanceState::kGone;
  run(1);
  EXPECT_EQ(reconciler.counts().crashed, 1u);
  EXPECT_EQ(reconciler.counts().boot_failures, 0u);
}

// ---- unknown outcomes ----

TEST_F(Reconciling, AnUnknownOutcomeCountsUntilListsHaveSettled) {
  run(2, 3);
  failed(2, Code::kUnknownOutcome);
  wait(seconds(9));
  EXPECT_EQ(launches(run(2, 3)), 0u);
  wait(seconds(1));
  EXPECT_EQ(launches(run(2, 3)), 1u);  // needed again, but they may still exist: the maximum leaves one
  wait(seconds(20));
  EXPECT_EQ(launches(run(2, 3)), 1u);  // not seen within the boot timeout
}

TEST_F(Reconciling, ListsFromBeforeTheOutcomeSettleNothing) {
  reconciler.on_listed(now);
  run(2, 2);
  failed(2, Code::kUnknownOutcome);
  wait(hours(1));
  EXPECT_EQ(launches(run(2, 2)), 0u);
  reconciler.on_listed(now);
  EXPECT_EQ(launches(run(2, 2)), 2u);
}

TEST_F(Reconciling, WhatAnUnknownOutcomeMadeIsRecognisedInTheList) {
  run(2);
  failed(2, Code::kUnknownOutcome);
  wait(seconds(5));
  listed.push_back(instance("launch-1-0"));
  EXPECT_TRUE(run(2).empty());
  EXPECT_EQ(reconciler.counts().started, 1u);
  EXPECT_EQ(reconciler.existing(), 2u);
  wait(seconds(10));
  EXPECT_EQ(launches(run(2)), 1u);
}

TEST_F(Reconciling, AReplyThatTellsLessThanAskedLeavesTheRestUnknown) {
  run(3);
  started(1, "launch-1");
  EXPECT_EQ(reconciler.existing(), 3u);
  EXPECT_TRUE(run(3).empty());
}

// ---- boots that fail ----

TEST_F(Reconciling, WhatIsNotHeardFromInTimeIsTerminatedAndCounted) {
  run(1);
  started(1, "launch-1");
  EXPECT_EQ(reconciler.wake_at(), kNever);
  run(1);
  EXPECT_EQ(reconciler.wake_at(), now + seconds(30));
  wait(seconds(30));
  const auto actions = run(1);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kTerminate);
  EXPECT_EQ(actions[0].instance, "launch-1-0");
  EXPECT_EQ(actions[0].reason, "it was not heard from within 30s of its start");
  EXPECT_EQ(reconciler.counts().boot_failures, 1u);
  EXPECT_NE(reconciler.held_because().find("because 1 boot failed"), std::string::npos)
      << reconciler.held_because();
  unlist("launch-1-0");
  wait(seconds(1));
  EXPECT_EQ(launches(run(1)), 1u);
  EXPECT_EQ(reconciler.counts().boot_failures, 1u);
}

TEST_F(Reconciling, BackOffDoublesUpToItsMaximumAndNeverEnds) {
  std::vector<Duration> waits;
  Instant last = now;
  for (int i = 0; i < 12; ++i) {
    while (launches(run(1)) == 0) wait(milliseconds(500));
    waits.push_back(now - last);
    last = now;
    failed(1);
  }
  const std::vector<Duration> expected = {seconds(0),  seconds(1),  seconds(2),  seconds(4),
                                          seconds(8),  seconds(16), seconds(32), seconds(60),
                                          seconds(60), seconds(60), seconds(60), seconds(60)};
  EXPECT_EQ(waits, expected);
  EXPECT_EQ(reconciler.counts().boot_failures, 12u);
}

TEST_F(Reconciling, ABatchThatFailsIsOneStepOfTheBackOff) {
  run(8);
  failed(8);
  EXPECT_EQ(launches(run(8)), 0u);
  EXPECT_EQ(reconciler.wake_at(), now + seconds(1));
  wait(seconds(1));
  EXPECT_EQ(launches(run(8)), 8u);
}

TEST_F(Reconciling, AfterThreeFailuresOneIsTriedAtATimeUntilOneStays) {
  for (int i = 0; i < 3; ++i) {
    run(8);
    failed(8);
    wait(seconds(10));
  }
  ASSERT_EQ(launches(run(8)), 1u);
  EXPECT_EQ(launches(run(8)), 0u);
  EXPECT_EQ(reconciler.held_because(),
            "one is tried at a time because 3 boots failed in a row, last: no capacity");
  started(1, "launch-4");
  heard("launch-4-0");
  run(1);
  wait(seconds(5));
  EXPECT_EQ(launches(run(8)), 7u);
  EXPECT_EQ(reconciler.held_because(), "");
}

TEST_F(Reconciling, WhatGoesBeforeItIsHeardFromIsABootFailure) {
  run(1);
  started(1, "launch-1");
  listed[0].state = InstanceState::kGone;
  listed[0].detail = "exit code 1";
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().boot_failures, 1u);
  EXPECT_NE(reconciler.held_because().find("instance launch-1-0 is gone: exit code 1"), std::string::npos)
      << reconciler.held_because();
  EXPECT_EQ(reconciler.existing(), 0u);
}

TEST_F(Reconciling, WhatCrashesSoonAfterItsBootBacksOffToo) {
  run(1);
  started(1, "launch-1");
  heard("launch-1-0");
  run(1);
  wait(seconds(4));
  listed.clear();
  EXPECT_EQ(of_kind(run(1), ActionKind::kForget).size(), 1u);
  EXPECT_EQ(reconciler.counts().crashed, 1u);
  EXPECT_NE(reconciler.held_because(), "");
}

// ---- workers that go ----

TEST_F(Reconciling, WorkersThatTasksKillAreReplacedWithinSeconds) {
  for (int i = 1; i <= 10; ++i) {
    const Instant since = now;
    while (launches(run(1)) == 0) {
      wait(seconds(1));
      ASSERT_LE(now, since + seconds(6)) << reconciler.held_because();
    }
    const std::string token = "launch-" + std::to_string(i);
    started(1, token);
    run(1);
    wait(seconds(1));
    heard(token + "-0", 1);
    run(1);
    listed.back().state = InstanceState::kGone;
    run(1);
    workers.clear();
  }
  EXPECT_EQ(reconciler.counts().crashed, 10u);
  EXPECT_NE(reconciler.held_because().find("with work in its hands"), std::string::npos);
}

TEST_F(Reconciling, AnInstanceGoneFromTheListFreesItsPlaceAtOnce) {
  fleet(2);
  unlist("launch-1-0");
  const auto actions = run(2, 2);
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0].kind, ActionKind::kForget);
  EXPECT_EQ(actions[0].worker, "w1");
  EXPECT_EQ(actions[0].reason, "instance launch-1-0 is not listed any more");
  EXPECT_EQ(actions[1].kind, ActionKind::kLaunch);
  EXPECT_EQ(actions[1].count, 1u);
  EXPECT_EQ(reconciler.counts().crashed, 1u);
  EXPECT_TRUE(run(2, 2).empty()) << "told once, though the manager still names the worker";
}

TEST_F(Reconciling, AnInstanceListedAsGoneSaysHow) {
  fleet(1);
  listed[0].state = InstanceState::kGone;
  listed[0].detail = "killed by signal 9";
  const auto actions = run(1);
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0].reason, "instance launch-1-0 is gone: killed by signal 9");
  EXPECT_EQ(launches(actions), 1u);
}

TEST_F(Reconciling, AWorkerThatRegistersFromWhatIsGoneIsForgotten) {
  listed.push_back(instance("launch-9-0"));
  listed[0].state = InstanceState::kGone;
  heard("launch-9-0");
  const auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kForget);
}

TEST_F(Reconciling, ALostWorkerIsForgottenItsInstanceTerminatedAndReplaced) {
  fleet(1);
  workers[0].is_lost = true;
  now += seconds(6);
  auto actions = run(1, 2);
  ASSERT_EQ(actions.size(), 3u);
  EXPECT_EQ(actions[0].kind, ActionKind::kForget);
  EXPECT_EQ(actions[0].reason, "it was silent for 6s");
  EXPECT_EQ(actions[1].kind, ActionKind::kTerminate);
  EXPECT_EQ(actions[1].instance, "launch-1-0");
  EXPECT_EQ(launches(actions), 1u);
  EXPECT_EQ(reconciler.counts().crashed, 1u);
  EXPECT_TRUE(run(1, 2).empty());
  unlist("launch-1-0");
  EXPECT_TRUE(run(1, 2).empty());
  EXPECT_EQ(reconciler.counts().crashed, 1u);
}

TEST_F(Reconciling, ALostWorkersInstanceCountsAgainstTheMaximumUntilItIsGone) {
  fleet(1);
  workers[0].is_lost = true;
  EXPECT_EQ(launches(run(1, 1)), 0u);
  unlist("launch-1-0");
  EXPECT_EQ(launches(run(1, 1)), 1u);
}

TEST_F(Reconciling, ALostWorkerStartedByHandIsForgottenAndNothingElse) {
  heard("").is_lost = true;
  const auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kForget);
  EXPECT_EQ(reconciler.counts().running, 0u);
}

TEST_F(Reconciling, AForgottenWorkerThatIsHeardAgainCounts) {
  heard("").is_lost = true;
  run(0);
  workers[0].is_lost = false;
  wait(seconds(1));
  run(0);
  EXPECT_EQ(reconciler.counts().running, 1u);
}

TEST_F(Reconciling, AWorkerThatRegisteredTwiceKeepsItsInstance) {
  fleet(1);
  workers[0].is_lost = true;
  wait(seconds(1));
  heard("launch-1-0");
  const auto actions = run(1);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kForget);
  EXPECT_EQ(actions[0].worker, "w1");
  EXPECT_EQ(reconciler.counts().running, 1u);
}

TEST_F(Reconciling, AWorkerThatSignsOffAndExitsHasStopped) {
  fleet(1);
  workers.clear();
  EXPECT_TRUE(run(1).empty());  // it may register again
  EXPECT_EQ(reconciler.counts().booting, 1u);
  unlist("launch-1-0");
  EXPECT_EQ(launches(run(1)), 1u);
  EXPECT_EQ(reconciler.counts().stopped, 1u);
  EXPECT_EQ(reconciler.counts().crashed, 0u);
}

TEST_F(Reconciling, AWorkerThatSignsOffAndDoesNotExitIsTerminated) {
  fleet(1);
  workers.clear();
  run(1);
  wait(seconds(30));
  const auto actions = of_kind(run(1), ActionKind::kTerminate);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].reason, "its worker signed off 30s ago");
}

TEST_F(Reconciling, AfterAManagersRestartWorkersRegisterAgain) {
  fleet(1);
  workers.clear();
  run(1);
  wait(seconds(3));
  heard("launch-1-0");
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().running, 1u);
}

}  // namespace
}  // namespace skep::scaler
