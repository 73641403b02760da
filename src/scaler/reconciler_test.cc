// SPDX-License-Identifier: Apache-2.0
// The reconciler on every combination of listed, not listed, heard and not heard, worked by hand; and that it
// never goes above the maximum whatever it is told.
#include "scaler/reconciler.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace skep::scaler {
namespace {

class Reconciling : public testing::Test {
 protected:
  std::vector<Action> run(std::uint32_t wanted, std::uint32_t workers_max = 100) {
    return reconciler.reconcile(now, wanted, workers_max, listed, workers);
  }
  static std::vector<Action> of_kind(const std::vector<Action>& actions, ActionKind kind) {
    std::vector<Action> some;
    for (const Action& action : actions) {
      if (action.kind == kind) some.push_back(action);
    }
    return some;
  }
  static std::uint32_t launches(const std::vector<Action>& actions) {
    std::uint32_t count = 0;
    for (const Action& action : of_kind(actions, ActionKind::kLaunch)) count += action.count;
    return count;
  }

  Instance instance(const std::string& name) const { return {name, name, InstanceState::kRunning, now, ""}; }
  // The launch that the last run asked for started all: they are listed.
  void started(std::uint32_t count, const std::string& token) {
    LaunchReply reply;
    for (std::uint32_t i = 0; i < count; ++i)
      reply.started.push_back(instance(token + "-" + std::to_string(i)));
    reconciler.on_launched(now, count, reply, token);
    listed.insert(listed.end(), reply.started.begin(), reply.started.end());
  }
  void failed(std::uint32_t count, Code code = Code::kExhausted) {
    LaunchReply reply;
    reply.errors.assign(count, fail(code, "no capacity"));
    reconciler.on_launched(now, count, reply);
  }
  WorkerSeen& heard(const std::string& token, std::uint32_t leases = 0) {
    WorkerSeen worker;
    worker.worker = "w" + std::to_string(++workers_made);
    worker.instance = token;
    worker.leases = leases;
    worker.heard_at = now;
    if (leases == 0) worker.idle_since = now;
    workers.push_back(worker);
    return workers.back();
  }
  void wait(Duration span) {
    now += span;
    for (WorkerSeen& worker : workers) {
      if (!worker.is_lost) worker.heard_at = now;
    }
  }
  // `count` workers that run, on instances "launch-1-<i>".
  void fleet(std::uint32_t count, std::uint32_t leases = 0) {
    ASSERT_EQ(launches(run(count)), count);
    started(count, "launch-1");
    wait(seconds(1));
    for (std::uint32_t i = 0; i < count; ++i) heard("launch-1-" + std::to_string(i), leases);
    ASSERT_TRUE(run(count).empty());
    ASSERT_EQ(reconciler.counts().running, count);
    wait(seconds(10));
  }
  void unlist(const std::string& id) {
    std::erase_if(listed, [&](const Instance& item) { return item.id == id; });
  }

  Instant now = Instant{} + hours(1);
  Reconciler reconciler{ReconcilerOptions{}};
  std::vector<Instance> listed;
  std::vector<WorkerSeen> workers;
  int workers_made = 0;
};

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
  EXPECT_EQ(reconciler.learned_boot(), seconds(7));
  EXPECT_EQ(reconciler.counts().running, 2u);
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

// ---- adoption ----

TEST_F(Reconciling, WhatIsListedAndUnknownCountsAndIsAdoptedWhenItReports) {
  listed.push_back(instance("former-7-0"));
  EXPECT_EQ(launches(run(2)), 1u);
  EXPECT_EQ(reconciler.counts().booting, 2u);
  heard("former-7-0");
  EXPECT_TRUE(run(2).empty());
  EXPECT_EQ(reconciler.counts().running, 1u);
  EXPECT_EQ(reconciler.counts().started, 0u);
}

TEST_F(Reconciling, WhatIsListedAndNeverReportsIsTerminatedWithoutBackOff) {
  listed.push_back(instance("former-7-0"));
  run(1);
  wait(seconds(30));
  const auto actions = run(1);
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0].kind, ActionKind::kTerminate);
  EXPECT_EQ(actions[0].reason, "nobody here started it and it was not heard from within 30s");
  EXPECT_EQ(launches(actions), 1u);
  EXPECT_EQ(reconciler.counts().boot_failures, 0u);
}

// ---- draining ----

TEST_F(Reconciling, DrainsTheWorkerThatIsIdleForLongestAndThenTheNewest) {
  fleet(4);
  workers[1].idle_since -= seconds(5);
  workers[3].leases = 1;
  workers[3].idle_since = kNoInstant;
  auto actions = run(3);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kDrain);
  EXPECT_EQ(actions[0].worker, "w2");
  EXPECT_EQ(actions[0].reason, "3 are wanted and 4 run: this one is idle");
  actions = run(2);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].worker, "w3") << "of the same age and idleness the later name";
  EXPECT_EQ(reconciler.counts().running, 2u);
  EXPECT_EQ(reconciler.counts().draining, 2u);
}

TEST_F(Reconciling, LeavesWhatBootsAloneWhenLessIsWanted) {
  run(3);
  started(3, "launch-1");
  EXPECT_TRUE(run(0).empty());
  heard("launch-1-0");
  const auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kDrain);
}

TEST_F(Reconciling, WorkersThatComputeAreNotDrainedForLackOfWaitingWork) {
  fleet(2, 1);
  EXPECT_TRUE(run(1).empty());
  wait(minutes(4));
  EXPECT_TRUE(run(1).empty());
  wait(minutes(1));
  const auto actions = run(1);  // none was idle for the busy hold
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kDrain);
}

TEST_F(Reconciling, ALoweredMaximumDrainsThoseWithTheFewestLeases) {
  fleet(3, 2);
  workers[1].leases = 1;
  const auto actions = run(1, 2);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].worker, "w2");
  EXPECT_EQ(actions[0].reason, "1 is wanted and 3 run: the maximum is 2");
}

TEST_F(Reconciling, ADrainThatTakesTooLongIsEnded) {
  fleet(1);
  ASSERT_EQ(run(0).size(), 1u);
  workers[0].is_draining = true;
  EXPECT_EQ(reconciler.wake_at(), now + seconds(30));
  wait(seconds(30));
  const auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kTerminate);
  EXPECT_EQ(actions[0].reason, "it drains for longer than 30s");
  EXPECT_EQ(reconciler.counts().stopped, 1u);
  listed.clear();
  workers.clear();
  run(0);
  EXPECT_EQ(reconciler.counts().stopped, 1u);
}

TEST_F(Reconciling, AWorkerThatDrainsByItselfIsReplaced) {
  fleet(1);
  workers[0].is_draining = true;
  EXPECT_EQ(launches(run(1)), 1u);
  workers.clear();
  listed.clear();
  run(1);
  EXPECT_EQ(reconciler.counts().stopped, 1u);
}

TEST_F(Reconciling, WhatDoesNotGoIsTerminatedAgain) {
  fleet(1);
  workers[0].is_lost = true;
  run(0);
  wait(seconds(9));
  EXPECT_TRUE(run(0).empty());
  wait(seconds(1));
  auto actions = run(0);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].reason, "it is still there 10s after it was to be terminated");
  listed[0].state = InstanceState::kStopping;
  wait(seconds(10));
  EXPECT_TRUE(run(0).empty());
  wait(seconds(50));
  EXPECT_EQ(run(0).size(), 1u);
}

TEST_F(Reconciling, WhatStopsForEverDoesNotHoldUpItsReplacementForEver) {
  fleet(1);
  listed[0].state = InstanceState::kStopping;
  workers[0].is_lost = true;
  EXPECT_EQ(launches(run(1, 1)), 0u);
  wait(minutes(6));
  EXPECT_EQ(launches(run(1, 1)), 1u);
}

TEST_F(Reconciling, WhatWasNeverListedAndTerminatedIsDroppedInTheEnd) {
  run(1, 1);
  started(1, "launch-1");
  listed.clear();
  wait(seconds(30));
  EXPECT_EQ(of_kind(run(1, 1), ActionKind::kTerminate).size(), 1u);
  wait(seconds(29));
  EXPECT_EQ(launches(run(1, 1)), 0u);
  wait(seconds(1));
  EXPECT_EQ(launches(run(1, 1)), 1u);
}

// ---- the end ----

TEST_F(Reconciling, WindingDownDrainsWhatRunsAndTerminatesWhatBoots) {
  fleet(2, 1);
  run(3);
  started(1, "launch-2");
  heard("");
  auto actions = reconciler.wind_down(now, false, listed, workers);
  EXPECT_EQ(of_kind(actions, ActionKind::kDrain).size(), 2u);
  ASSERT_EQ(of_kind(actions, ActionKind::kTerminate).size(), 1u);
  EXPECT_EQ(of_kind(actions, ActionKind::kTerminate)[0].instance, "launch-2-0");
  EXPECT_TRUE(reconciler.wind_down(now, false, listed, workers).empty());
  actions = reconciler.wind_down(now, true, listed, workers);
  EXPECT_EQ(of_kind(actions, ActionKind::kTerminate).size(), 2u);
  EXPECT_EQ(actions.size(), 2u);
}

// ---- promises ----

std::string any_token() {
  return "launch-" + std::to_string(*rc::gen::inRange(1, 4)) + "-" + std::to_string(*rc::gen::inRange(0, 3));
}

RC_GTEST_PROP(ReconcilerPromises, NothingItIsToldMakesItLaunchAboveTheMaximum, ()) {
  Reconciler reconciler{ReconcilerOptions{}};
  Instant now = Instant{} + hours(1);
  for (int step = 0; step < 40; ++step) {
    now += milliseconds(*rc::gen::inRange(0, 20'000));
    std::map<std::string, Instance> machines;
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      const std::string id = any_token();
      machines[id] = {
          id, id, *rc::gen::element(InstanceState::kRunning, InstanceState::kStopping, InstanceState::kGone),
          now, ""};
    }
    std::vector<Instance> listed;
    std::uint32_t there = 0;
    for (const auto& [id, machine] : machines) {
      listed.push_back(machine);
      if (machine.state == InstanceState::kRunning) ++there;
    }
    std::vector<WorkerSeen> workers;
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      const std::string token = *rc::gen::arbitrary<bool>() ? "" : any_token();
      const Instant heard_at = now - seconds(*rc::gen::inRange(0, 20));
      workers.push_back({"w" + std::to_string(*rc::gen::inRange(0, 9)), token, *rc::gen::arbitrary<bool>(),
                         *rc::gen::arbitrary<bool>(), *rc::gen::inRange(0u, 3u), heard_at, heard_at});
      if (token.empty() && !workers.back().is_lost && heard_at == now) ++there;
    }
    const auto workers_max = *rc::gen::inRange(0u, 12u);
    std::uint32_t launched = 0;
    for (const Action& action :
         reconciler.reconcile(now, *rc::gen::inRange(0u, 15u), workers_max, listed, workers)) {
      RC_ASSERT(!action.reason.empty());
      if (action.kind != ActionKind::kLaunch) continue;
      launched += action.count;
      LaunchReply reply;
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          reply.errors.assign(action.count, fail(Code::kUnknownOutcome, "broken"));
          break;
        case 1:
          reply.errors.assign(action.count, fail(Code::kExhausted, "full"));
          break;
        case 2:
          reply.started.push_back(
              {action.token + "-0", action.token + "-0", InstanceState::kRunning, now, ""});
          break;
        default:
          continue;  // never answered
      }
      reconciler.on_launched(now, action.count, reply, action.token);
    }
    if (launched > 0) RC_ASSERT(there + launched <= workers_max);
    RC_ASSERT(reconciler.wake_at() > now);
  }
}

}  // namespace
}  // namespace skep::scaler
