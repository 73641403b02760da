// SPDX-License-Identifier: Apache-2.0
// internal_scaler.h - what stands behind a Scaler: for the scaler*.cc files alone.
//
// Threads:   everything on the scaler's executor.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scaler/scaler.h"
#include "scaler/spending.h"
#include "scaler/trouble.h"

namespace skep::scaler {

struct Scaler::Impl {
  Impl(Executor& e, Fleet& f, Provisioner& p, std::unique_ptr<Policy> sizing, ScalerOptions o, Logger l,
       Leadership* lead)
      : executor(e),
        fleet(f),
        provisioner(p),
        policy(std::move(sizing)),
        options(std::move(o)),
        log(std::move(l)),
        leadership(lead),
        reconciler(options.reconciler),
        costs({options.bounds.price_hour}),
        spending(p.is_cluster_wide() ? std::string(kClusterAccount) : options.reconciler.launch_prefix) {
    fleet_state.bounds = options.bounds;
  }

  void start();
  void stop(Instant deadline, UniqueFunction<void()> done);
  void tick();
  bool ask_list();
  void on_list(std::uint64_t number, Instant asked_at, Result<std::vector<Instance>> reply);
  void round_by(Instant when);
  void round();
  void decide(Instant now);
  FleetPart own_part(Instant now, bool may_act);
  std::uint32_t size(Instant now, bool may_act);
  bool may_act_as(FleetRole as) const;
  bool is_held(Instant now, std::uint32_t here) const;
  void wind_down(Instant now);
  void finish_stop();
  void act(const std::vector<Action>& actions);
  void launch(const Action& action);
  void on_launched(const std::string& token, const LaunchReply& reply);
  void terminate(std::vector<std::string> ids);
  void record(Instant now, const Observation& seen, const std::vector<Action>& actions);
  std::string explain() const;
  std::string find_problem() const;
  void tell_problem(Instant now);
  void obey(const FleetOrder& given);
  void take_account(Instant now, bool may_act);
  void lay_down_account(Instant now);
  void count_costs(Instant now, const std::vector<WorkerSeen>& workers);
  void keep_spending(Instant now, bool is_last);

  // A callback that does nothing once this is gone.
  template <class F>
  auto guarded(F work) {
    return [alive = std::weak_ptr<char>(life), work = std::move(work)](auto&&... args) mutable {
      if (!alive.expired()) work(std::forward<decltype(args)>(args)...);
    };
  }

  Executor& executor;
  Fleet& fleet;
  Provisioner& provisioner;
  const std::unique_ptr<Policy> policy;
  const ScalerOptions options;
  const Logger log;
  Leadership* const leadership;
  Reconciler reconciler;

  std::vector<Instance> listed;
  bool has_list = false;
  Instant listed_at = kNoInstant;  // when the list at hand was asked for
  std::uint64_t list_number = 0;
  Instant list_deadline = kNoInstant;  // of the one under way
  bool must_list_again = false;
  std::string list_problem;
  Duration list_pause{};  // after the list that failed
  Instant list_again_at = kNoInstant;
  std::string launch_problem;     // of the last launch that was not answered in full
  std::string terminate_problem;  // of the last one, if it failed
  Trouble trouble;
  FleetOrder order;
  FleetOrder last_given;
  CostLedger costs;
  Spending spending;
  KeepSpending keep;
  bool may_have_acted = false;  // in the round before
  bool is_counting = false;
  Instant counts_from = kNoInstant;  // what a machine cost before is not this manager's

  struct UnderWay {
    std::uint32_t count = 0;
    TimerId timer = 0;
  };
  std::map<std::string, UnderWay> launches;  // by token

  Decision decision{0, "nothing was decided yet"};
  FleetState fleet_state;
  Observation decided_on;
  SizeRule rule = SizeRule::kPolicy;
  std::shared_ptr<const Policy> policy_before;  // the last decision; null if it was not the policy's
  Instant role_since = kNoInstant;
  std::deque<LedgerEntry> ledger;
  ActionTotals action_totals;

  bool is_started = false;
  bool is_in_round = false;
  Instant round_at = kNoInstant;  // the last one
  Duration round_took{};
  Instant next_round_at = kNever;
  TimerId round_timer = 0;

  bool is_stopping = false;
  bool is_stopped = false;
  Instant stop_asked_at = kNoInstant;
  Instant stop_deadline = kNever;
  std::vector<UniqueFunction<void()>> stop_done;

  const std::shared_ptr<char> life = std::make_shared<char>();
};

}  // namespace skep::scaler
