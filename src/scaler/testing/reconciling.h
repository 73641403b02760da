// SPDX-License-Identifier: Apache-2.0
// reconciling.h - a reconciler with what a test lists and hears, and short names for what tests do to it.
//
// Threads:   one thread.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "scaler/reconciler.h"

namespace skep::scaler::testing {

class Reconciling : public ::testing::Test {
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

}  // namespace skep::scaler::testing
