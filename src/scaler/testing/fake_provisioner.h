// SPDX-License-Identifier: Apache-2.0
// fake_provisioner.h - a provisioner of imagined machines, with every fault that a real one has; for tests
// and the simulator.
//
// Faults come by chance from a seed (FakeProvisionerScript) or for the next launch (fail_next). It knows what
// truly exists, which the code under test only learns by list(): peak() is the check of the maximum.
//
// Threads:   one executor.
// Ownership: borrows the executor. What it posted does nothing once it is gone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/random.h"
#include "scaler/provisioner.h"

namespace skep::scaler::testing {

struct FakeProvisionerScript {
  Duration reply_delay = milliseconds(5);
  Duration boot = seconds(1);
  Duration boot_spread{};  // uniform on top
  Duration terminate_delay = milliseconds(100);
  Duration list_lag{};         // before something launched is listed
  bool is_gone_listed = true;  // what is gone is listed as such for a minute; else missing at once

  // Chances. Of an instance:
  double launch_error = 0;
  double never_boots = 0;
  double vanishes = 0;  // within a minute of its launch
  // Of a call:
  double unknown_outcome = 0;  // of a launch; half of the instances exist all the same
  double list_error = 0;
  double terminate_error = 0;
  double no_reply = 0;  // of any; what was asked for happens
};

enum class LaunchFault : std::uint8_t {
  kNone,
  kError,           // nothing starts
  kUnknownStarted,  // unknown outcome: all exist
  kUnknownNothing,  // unknown outcome: none exists
  kNeverBoots,      // started, and never heard from
  kNoReplyStarted,  // the reply never comes: all exist
};

class FakeProvisioner final : public Provisioner {
 public:
  using Listener = std::function<void(const Instance&)>;

  FakeProvisioner(Executor& executor, Random random, FakeProvisionerScript faults = {})
      : script(faults), executor_(executor), random_(random) {}
  FakeProvisioner(const FakeProvisioner&) = delete;
  FakeProvisioner& operator=(const FakeProvisioner&) = delete;

  FakeProvisionerScript script;  // may be changed at any time
  bool is_of_cluster = false;    // is_cluster_wide()
  Duration told_lag{};           // list_lag()
  Listener on_boot;              // an instance came up: its worker starts
  Listener on_end;               // an instance is no more, whoever ended it

  void fail_next(LaunchFault fault) { faults_.push_back(fault); }

  // The worker on it ended by itself, or the machine was lost. Unknown or gone already: nothing happens.
  void end(const std::string& id, const std::string& detail) {
    const auto found = machines_.find(id);
    if (found == machines_.end() || found->second.instance.state == InstanceState::kGone) return;
    Instance& instance = found->second.instance;
    instance.state = InstanceState::kGone;
    instance.detail = detail;
    found->second.gone_at = executor_.now();
    if (on_end) on_end(Instance(instance));
    executor_.post(guarded([this] {
      if (changed_) changed_();
    }));
  }

  std::uint32_t existing() const {
    return static_cast<std::uint32_t>(std::count_if(machines_.begin(), machines_.end(), [](const auto& item) {
      return item.second.instance.state != InstanceState::kGone;
    }));
  }
  // The most that ever existed at one time.
  std::uint32_t peak() const { return peak_; }
  std::uint64_t launch_calls() const { return launch_calls_; }
  std::uint64_t list_calls() const { return list_calls_; }
  std::uint64_t started() const { return started_; }
  std::vector<std::string> existing_ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, machine] : machines_) {
      if (machine.instance.state != InstanceState::kGone) ids.push_back(id);
    }
    return ids;
  }

  // ---- Provisioner ----

  std::string name() const override { return "fake"; }
  bool is_cluster_wide() const override { return is_of_cluster; }
  Duration list_lag() const override { return told_lag; }

  void list(ListDone done) override {
    drop_old();
    ++list_calls_;
    if (random_.chance(script.no_reply)) return;
    if (random_.chance(script.list_error)) {
      reply([done = std::move(done)]() mutable {
        done(fail(Code::kUnavailable, "the list is not available, by script"));
      });
      return;
    }
    std::vector<Instance> listed;
    for (const auto& [id, machine] : machines_) {
      if (executor_.now() < machine.listed_from) continue;
      if (machine.instance.state == InstanceState::kGone && !script.is_gone_listed) continue;
      listed.push_back(machine.instance);
    }
    reply([done = std::move(done), listed = std::move(listed)]() mutable { done(std::move(listed)); });
  }

  void launch(std::uint32_t count, std::string token, LaunchDone done) override {
    ++launch_calls_;
    const LaunchFault fault = next_fault();
    LaunchReply answer;
    for (std::uint32_t i = 0; i < count; ++i) {
      const bool is_unknown = fault == LaunchFault::kUnknownStarted || fault == LaunchFault::kUnknownNothing;
      const bool is_started = fault != LaunchFault::kError && fault != LaunchFault::kUnknownNothing &&
                              !(fault == LaunchFault::kNone && random_.chance(script.launch_error));
      if (is_started) start(token + "-" + std::to_string(i), fault == LaunchFault::kNeverBoots);
      if (is_unknown) {
        answer.errors.push_back(fail(Code::kUnknownOutcome, "the connection broke, by script"));
      } else if (is_started) {
        answer.started.push_back(machines_.at(token + "-" + std::to_string(i)).instance);
      } else {
        answer.errors.push_back(fail(Code::kExhausted, "no capacity, by script"));
      }
    }
    if (fault == LaunchFault::kNoReplyStarted || random_.chance(script.no_reply)) return;
    reply([done = std::move(done), answer = std::move(answer)]() mutable { done(std::move(answer)); });
  }

  void terminate(std::vector<std::string> ids, TerminateDone done) override {
    if (random_.chance(script.terminate_error)) {
      reply([done = std::move(done)]() mutable {
        done(fail(Code::kUnavailable, "terminating is not available, by script"));
      });
      return;
    }
    for (const std::string& id : ids) {
      const auto found = machines_.find(id);
      if (found == machines_.end() || found->second.instance.state != InstanceState::kRunning) continue;
      found->second.instance.state = InstanceState::kStopping;
      executor_.post_at(executor_.now() + script.terminate_delay,
                        guarded([this, id] { end(id, "terminated"); }));
    }
    if (random_.chance(script.no_reply)) return;
    reply([done = std::move(done)]() mutable { done(ok()); });
  }

  void on_change(Changed changed) override { changed_ = std::move(changed); }

 private:
  struct Machine {
    Instance instance;
    Instant listed_from{};
    Instant gone_at = kNever;
  };

  LaunchFault next_fault() {
    if (!faults_.empty()) {
      const LaunchFault fault = faults_.front();
      faults_.pop_front();
      return fault;
    }
    if (!random_.chance(script.unknown_outcome)) return LaunchFault::kNone;
    return random_.chance(0.5) ? LaunchFault::kUnknownStarted : LaunchFault::kUnknownNothing;
  }

  void start(const std::string& token, bool is_dud) {
    const std::string id = "i-" + std::to_string(++started_);
    Machine machine;
    machine.instance = {token, token, InstanceState::kRunning, executor_.now(), id};
    machine.listed_from = executor_.now() + script.list_lag;
    machines_.emplace(token, machine);
    peak_ = std::max(peak_, existing());
    const auto spread = static_cast<std::uint64_t>(script.boot_spread.count());
    const Duration boot = script.boot + Duration(static_cast<Duration::rep>(random_.below(spread + 1)));
    if (!is_dud && !random_.chance(script.never_boots)) {
      executor_.post_at(executor_.now() + boot, guarded([this, token] { boot_now(token); }));
    }
    if (random_.chance(script.vanishes)) {
      const auto minute = static_cast<std::uint64_t>(Duration(minutes(1)).count());
      executor_.post_at(executor_.now() + Duration(static_cast<Duration::rep>(random_.below(minute))),
                        guarded([this, token] { end(token, "vanished"); }));
    }
  }

  void boot_now(const std::string& id) {
    const auto found = machines_.find(id);
    if (found == machines_.end() || found->second.instance.state != InstanceState::kRunning) return;
    if (on_boot) on_boot(Instance(found->second.instance));
  }

  void drop_old() {
    std::erase_if(machines_, [now = executor_.now()](const auto& item) {
      return item.second.gone_at != kNever && now - item.second.gone_at > minutes(1);
    });
  }

  template <class F>
  void reply(F work) {
    executor_.post_at(executor_.now() + script.reply_delay, guarded(std::move(work)));
  }

  template <class F>
  UniqueFunction<void()> guarded(F work) {
    return [alive = std::weak_ptr<char>(life_), work = std::move(work)]() mutable {
      if (!alive.expired()) work();
    };
  }

  Executor& executor_;
  Random random_;
  std::map<std::string, Machine> machines_;
  std::deque<LaunchFault> faults_;
  Changed changed_;
  std::uint32_t peak_ = 0;
  std::uint64_t launch_calls_ = 0;
  std::uint64_t list_calls_ = 0;
  std::uint64_t started_ = 0;
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace skep::scaler::testing
