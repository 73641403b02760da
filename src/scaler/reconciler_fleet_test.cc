// SPDX-License-Identifier: Apache-2.0
// Goal: adoption, draining and the end, and that the reconciler never goes above the maximum whatever it is
// told. Method: cases worked by hand, and random ones.
#include "scaler/testing/reconciling.h"

#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace skep::scaler {
namespace {

using testing::Reconciling;

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

// ---- launches a minute ----

TEST_F(Reconciling, LaunchesNoMoreInAnyMinuteThanAllowed) {
  ReconcilerOptions options;
  options.launches_minute_max = 3;
  options.boot_timeout = minutes(5);
  reconciler = Reconciler(options);
  const auto first = run(2);
  EXPECT_EQ(launches(first), 2u);
  started(2, first[0].token);
  wait(seconds(30));
  const auto second = run(5);
  EXPECT_EQ(launches(second), 1u);
  EXPECT_EQ(reconciler.held_because(), "no more than 3 are launched in a minute");
  started(1, second[0].token);
  EXPECT_EQ(launches(run(5)), 0u);
  EXPECT_EQ(reconciler.wake_at(), now + seconds(30));
  wait(seconds(30));
  EXPECT_EQ(launches(run(5)), 2u);
}

TEST_F(Reconciling, WhatWasRefusedIsNotCountedAsLaunched) {
  ReconcilerOptions options;
  options.launches_minute_max = 3;
  reconciler = Reconciler(options);
  EXPECT_EQ(launches(run(3)), 3u);
  failed(3);
  wait(seconds(2));
  EXPECT_EQ(launches(run(3)), 3u);
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

// Its manager could not be reached, or it registered anew.
TEST_F(Reconciling, AnOrderToDrainThatTheWorkerDoesNotKnowOfIsGivenAgain) {
  fleet(2);
  ASSERT_EQ(run(1).size(), 1u);
  wait(seconds(4));
  EXPECT_TRUE(run(1).empty());
  wait(seconds(1));
  auto actions = run(1);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, ActionKind::kDrain);
  EXPECT_EQ(actions[0].worker, "w2");
  EXPECT_EQ(actions[0].reason, "it takes tasks 5s after it was to drain");
  workers[1].is_draining = true;
  wait(seconds(10));
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().draining, 1u);
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
    std::set<std::string> names;  // a fleet names each worker once
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
      const std::string name = "w" + std::to_string(*rc::gen::inRange(0, 9));
      if (!names.insert(name).second) continue;
      const std::string token = *rc::gen::arbitrary<bool>() ? "" : any_token();
      const Instant heard_at = now - seconds(*rc::gen::inRange(0, 20));
      workers.push_back({name, token, *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>(),
                         *rc::gen::inRange(0u, 3u), heard_at, heard_at});
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

// ---- instances that take time to run ----

TEST_F(Reconciling, ABootBeginsWhenTheInstanceRuns) {
  ASSERT_EQ(launches(run(1)), 1u);
  started(1, "launch-1");
  listed[0].state = InstanceState::kStarting;
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().booting, 1u);
  wait(minutes(5));  // ten boot timeouts
  EXPECT_TRUE(run(1).empty());
  listed[0].state = InstanceState::kRunning;
  EXPECT_TRUE(run(1).empty());
  wait(seconds(29));
  EXPECT_TRUE(run(1).empty());
  wait(seconds(1));
  const auto actions = of_kind(run(1), ActionKind::kTerminate);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].reason, "it was not heard from within 30s of its start");
  EXPECT_EQ(reconciler.counts().boot_failures, 1u);
}

TEST_F(Reconciling, AnInstanceThatNeverRunsIsGivenUp) {
  ASSERT_EQ(launches(run(1)), 1u);
  started(1, "launch-1");
  listed[0].state = InstanceState::kStarting;
  run(1);
  wait(minutes(10));
  const auto actions = of_kind(run(1), ActionKind::kTerminate);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].reason, "it did not run within 10m");
}

TEST_F(Reconciling, AWorkerThatIsHeardFromBeforeTheListKnowsThatItRunsCounts) {
  ASSERT_EQ(launches(run(1)), 1u);
  started(1, "launch-1");
  listed[0].state = InstanceState::kStarting;
  heard("launch-1-0");
  EXPECT_TRUE(run(1).empty());
  EXPECT_EQ(reconciler.counts().running, 1u);
}

}  // namespace
}  // namespace skep::scaler
