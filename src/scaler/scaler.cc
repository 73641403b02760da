// SPDX-License-Identifier: Apache-2.0
#include "scaler/scaler.h"

#include "scaler/internal_scaler.h"

namespace skep::scaler {
namespace {

constexpr Duration kRoundGap = milliseconds(50);  // between rounds, however often it is poked
// With ten thousand workers a round takes milliseconds: it is to take no more than one part in so many.
constexpr int kRoundShare = 50;
constexpr Duration kListAgainFirst = seconds(1);  // after a list that failed, and doubled each time up to
constexpr Duration kListAgainMax = seconds(15);
constexpr Duration kStopGrace = seconds(10);  // after the deadline, for what was terminated to go
constexpr std::string_view kDryRun = "; nothing is done about it: this is a dry run";

}  // namespace

// ---- the loop ----

void Scaler::Impl::start() {
  if (std::exchange(is_started, true)) return;
  counts_from = role_since = executor.now();
  provisioner.on_change(guarded([this] {
    must_list_again = true;
    ask_list();
  }));
  tick();
}

void Scaler::Impl::tick() {
  if (is_stopped) return;
  executor.post_at(executor.now() + options.tick, guarded([this] { tick(); }));
  const bool is_list_slow = list_deadline != kNoInstant;
  const bool is_asked = ask_list();
  if (is_list_slow || !is_asked) round();
}

// One list at a time. One that is not answered in time is given up, and its answer ignored should it come.
// False: none was asked for now.
bool Scaler::Impl::ask_list() {
  if (is_stopped) return false;
  const Instant now = executor.now();
  if (leadership != nullptr && !may_act_as(leadership->role())) {  // who leads lists
    list_problem.clear();
    has_list = false;
    return false;
  }
  if (list_deadline != kNoInstant && now < list_deadline) return false;
  if (list_deadline == kNoInstant && now < list_again_at && !is_stopping) return false;
  if (list_deadline != kNoInstant) {
    list_problem = "it did not answer for " + describe_duration(options.reply_timeout);
  }
  must_list_again = false;
  list_deadline = now + options.reply_timeout;
  const std::uint64_t number = ++list_number;
  provisioner.list(guarded(
      [this, number, now](Result<std::vector<Instance>> reply) { on_list(number, now, std::move(reply)); }));
  return true;
}

void Scaler::Impl::on_list(std::uint64_t number, Instant asked_at, Result<std::vector<Instance>> reply) {
  if (number != list_number || list_deadline == kNoInstant) return;
  list_deadline = kNoInstant;
  if (reply) {
    listed = std::move(reply.value());
    has_list = true;
    listed_at = asked_at;
    reconciler.on_listed(asked_at);
    list_problem.clear();
    list_pause = Duration::zero();
    list_again_at = kNoInstant;
  } else {
    list_problem = reply.error().message;
    list_pause = std::clamp<Duration>(2 * list_pause, kListAgainFirst, kListAgainMax);
    list_again_at = executor.now() + list_pause;
  }
  round();
  if (must_list_again) ask_list();
}

void Scaler::Impl::round_by(Instant when) {
  if (!is_started || is_stopped) return;
  const Duration gap = std::min(std::max(kRoundGap, kRoundShare * round_took), options.tick);
  when = std::max({when, executor.now(), round_at + gap});
  if (next_round_at <= when) return;
  executor.cancel(round_timer);
  next_round_at = when;
  round_timer = executor.post_at(when, guarded([this] {
                                   next_round_at = kNever;
                                   round();
                                 }));
}

void Scaler::Impl::round() {
  if (is_stopped) return;
  const Instant now = executor.now();
  if (is_in_round) {  // the provisioner answered within a call
    round_by(now);
    return;
  }
  is_in_round = true;
  round_at = now;
  if (is_stopping) {
    wind_down(now);
  } else {
    decide(now);
  }
  is_in_round = false;
  round_took = executor.now() - now;
  if (has_list && reconciler.wake_at() < kNever) round_by(reconciler.wake_at());
}

// A provisioner of the whole cluster is the leader's alone: what it lists is everybody's.
bool Scaler::Impl::may_act_as(FleetRole as) const {
  return !provisioner.is_cluster_wide() || leadership == nullptr || as == FleetRole::kLeads;
}

FleetPart Scaler::Impl::own_part(Instant now, bool may_act) {
  FleetPart part;
  part.address = options.address;
  part.provisioner = provisioner.name();
  // What a dry run would launch no other manager waits for.
  const bool is_idle = is_stopping || is_stopped || (options.is_dry_run && leadership != nullptr);
  part.can_launch = provisioner.can_launch() && may_act && !is_idle;
  part.is_failing = reconciler.is_failing(now);
  part.held_because = reconciler.held_because();
  part.seen = fleet.observe();
  part.seen.booting_ready_at = reconciler.booting_ready_at();
  part.seen.boot = reconciler.learned_boot();
  part.boots = reconciler.boots_by_type();
  part.bounds = options.bounds;
  part.counts = may_act ? reconciler.counts() : FleetCounts{};
  part.own = may_act ? reconciler.own() : 0;
  part.own_idle = may_act ? reconciler.own_idle() : 0;
  part.others = may_act ? reconciler.others() : 0;
  part.room = part.can_launch && has_list ? reconciler.room(options.bounds.workers_max) : 0;
  part.share = fleet_state.parts.empty() ? 0 : fleet_state.parts.front().share;
  return part;
}

// Decides, and says how many workers are to be there that this manager hears or starts.
std::uint32_t Scaler::Impl::size(Instant now, bool may_act) {
  std::vector<FleetPart> parts{own_part(now, may_act)};
  FleetPart& own = parts.front();
  const FleetRole role = leadership == nullptr ? FleetRole::kAlone : leadership->role();
  const bool decides = role == FleetRole::kLeads || role == FleetRole::kAlone;
  if (decides && role != fleet_state.role) policy->forget();
  if (role != fleet_state.role) role_since = now;
  fleet_state.role = role;
  fleet_state.leader.clear();
  std::uint32_t here = own.own + own.others;
  if (role == FleetRole::kLeads) {
    for (FleetPart& sibling : leadership->siblings()) parts.push_back(std::move(sibling));
  }
  fleet_state.bounds = whole_bounds(parts);
  decided_on = parts.size() == 1 ? own.seen : whole_observation(now, parts);
  fleet_state.loads = decided_on.loads;
  decided_on.order = order;
  decided_on.spent_month = static_cast<double>(spending.spent_micros()) * 1e-6;
  policy_before.reset();
  if (decides) {
    rule = order.holds_at(now) ? SizeRule::kOrder : SizeRule::kPolicy;
    policy_before = policy->clone();
    decision = policy->decide(decided_on, fleet_state.bounds);
    if (role == FleetRole::kAlone && leadership != nullptr)
      decision.reason = leadership->reason() + ", so the shards here count: " + decision.reason;
    if (options.is_dry_run) decision.reason += kDryRun;
    fleet_state.wanted = here = decision.wanted;
  }
  if (parts.size() > 1 && options.is_dry_run) {
    leadership->give({}, decision);  // the others keep what they have
  } else if (parts.size() > 1) {
    const auto shares = share_out(decision.wanted, parts);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].share = shares[i];
    leadership->give({shares.begin() + 1, shares.end()}, decision);
    here = shares.front() + own.others;
  } else if (role == FleetRole::kFollows) {
    rule = SizeRule::kShare;
    const LeaderOrder given = leadership->order();
    fleet_state.leader = given.leader;
    fleet_state.wanted = given.wanted;
    own.share = given.share;
    here = given.share + own.others;
    decision = {here, given.leader + " leads the fleet, wants " + std::to_string(given.wanted) +
                          " in all and these here: " + given.reason};
  } else if (role == FleetRole::kWaits) {
    rule = SizeRule::kNobody;
    fleet_state.wanted = here;
    decision = {here, "what is there is kept: " + leadership->reason()};
  } else {
    own.share = here - std::min(here, own.others);
  }
  fleet_state.parts = std::move(parts);
  return here;
}

// A limit lets workers go during a pause, too.
bool Scaler::Impl::is_held(Instant now, std::uint32_t here) const {
  if (options.is_dry_run) return true;
  const FleetPart& own = fleet_state.parts.front();
  return order.is_pause_at(now) && here >= own.own + own.others;
}

void Scaler::Impl::decide(Instant now) {
  const std::vector<WorkerSeen> workers = fleet.workers();
  const bool may_act = leadership == nullptr || may_act_as(leadership->role());
  if (may_act && !may_have_acted) reconciler.begin_anew();
  may_have_acted = may_act;
  // What has come up must not count as booting beside the observation that counts it as running.
  if (has_list && may_act) reconciler.absorb(now, listed, workers);
  take_account(now, may_act);
  if (may_act) count_costs(now, workers);
  keep_spending(now, !is_counting);
  if (order.kind != FleetOrderKind::kNone && !order.holds_at(now)) {
    log.info("the order to the fleet has ended: the policy sizes it again");
    order = {};
  }
  const std::uint32_t here = size(now, may_act);
  // Of a cluster-wide provisioner, what a former leader started must be in the list.
  const bool is_list_fit = has_list && (!provisioner.is_cluster_wide() || listed_at >= role_since);
  const Instant whole_from = add_saturated(role_since, provisioner.list_lag());
  const bool is_list_whole = !provisioner.is_cluster_wide() || listed_at >= whole_from;
  if (is_list_fit && may_act && !is_list_whole) {
    decision.reason += "; nothing is started until " + format_instant(whole_from) +
                       ", when all that was launched before is known";
  }
  if (options.is_dry_run && (rule == SizeRule::kShare || rule == SizeRule::kNobody))
    decision.reason += kDryRun;
  std::vector<Action> actions;
  if (is_list_fit && may_act && (!is_list_whole || is_held(now, here))) {
    actions = reconciler.tend(now, listed, workers);
  } else if (is_list_fit && may_act) {
    // What the limits allow is known of the whole: where others have workers too, busy ones here stay.
    const bool is_whole_here = fleet_state.parts.size() == 1 || provisioner.is_cluster_wide();
    const std::uint32_t most = is_whole_here ? decision.most : options.bounds.workers_max;
    actions = reconciler.reconcile(now, here, std::min(options.bounds.workers_max, most), listed, workers);
  }
  if (may_act) fleet_state.parts.front().counts = reconciler.counts();
  fleet_state.counts = whole_counts(fleet_state.parts);
  record(now, decided_on, actions);
  act(actions);
  tell_problem(now);
}

// ---- acting ----

void Scaler::Impl::act(const std::vector<Action>& actions) {
  std::vector<std::string> terminated;
  for (const Action& action : actions) {
    switch (action.kind) {
      case ActionKind::kForget:
        ++action_totals.forgotten;
        log.warn("worker is gone", {{"worker", action.worker}, {"reason", action.reason}});
        fleet.forget_worker(action.worker, action.reason);
        break;
      case ActionKind::kDrain:
        ++action_totals.drains;
        log.info("draining a worker",
                 {{"worker", action.worker}, {"instance", action.instance}, {"reason", action.reason}});
        fleet.drain_worker(action.worker);
        break;
      case ActionKind::kTerminate:
        if (options.is_dry_run) break;
        ++action_totals.terminations;
        log.info("terminating an instance", {{"instance", action.instance}, {"reason", action.reason}});
        terminated.push_back(action.instance);
        break;
      case ActionKind::kLaunch:
        ++action_totals.launches;
        launch(action);
        break;
    }
  }
  if (!terminated.empty()) terminate(std::move(terminated));
}

void Scaler::Impl::launch(const Action& action) {
  log.info("launching", {{"count", action.count}, {"token", action.token}, {"reason", action.reason}});
  UnderWay& under_way = launches[action.token];
  under_way.count = action.count;
  under_way.timer = executor.post_at(
      executor.now() + options.reply_timeout, guarded([this, token = action.token] {
        LaunchReply reply;
        reply.errors.assign(launches.at(token).count,
                            fail(Code::kUnknownOutcome, "launch " + token + " was not answered for " +
                                                            describe_duration(options.reply_timeout)));
        on_launched(token, reply);
      }));
  provisioner.launch(
      action.count, action.token,
      guarded([this, token = action.token](const LaunchReply& reply) { on_launched(token, reply); }));
}

// An answer after the time-out is ignored: the list tells what exists.
void Scaler::Impl::on_launched(const std::string& token, const LaunchReply& reply) {
  const auto found = launches.find(token);
  if (found == launches.end()) return;
  const std::uint32_t count = found->second.count;
  executor.cancel(found->second.timer);
  launches.erase(found);
  for (const Instance& instance : reply.started) {
    log.info("launched", {{"instance", instance.id}, {"detail", instance.detail}});
  }
  launch_problem = reply.errors.empty() ? "" : reply.errors.back().message;
  if (!reply.errors.empty()) {
    log.warn("a launch failed", {{"token", token},
                                 {"instances", reply.errors.size()},
                                 {"code", code_name(reply.errors.back().code)},
                                 {"problem", reply.errors.back().message}});
  }
  reconciler.on_launched(executor.now(), count, reply, token);
  round_by(executor.now());
}

void Scaler::Impl::terminate(std::vector<std::string> ids) {
  provisioner.terminate(std::move(ids), guarded([this](const Result<void>& reply) {
                          terminate_problem = reply ? "" : reply.error().message;
                          if (reply) return;
                          // The reconciler asks again while they are listed.
                          log.warn("terminating failed", {{"problem", reply.error().message}});
                        }));
}

// ---- the end ----

void Scaler::Impl::stop(Instant deadline, UniqueFunction<void()> done) {
  if (!is_started || is_stopped || options.is_dry_run) {
    is_stopped = true;
    executor.post(std::move(done));
    return;
  }
  stop_done.push_back(std::move(done));
  stop_deadline = std::min(stop_deadline, deadline);
  executor.post_at(stop_deadline, guarded([this] { round(); }));
  executor.post_at(add_saturated(stop_deadline, kStopGrace), guarded([this] { round(); }));
  if (std::exchange(is_stopping, true)) return;
  if (provisioner.is_cluster_wide()) {
    log.info("the fleet is left to the next manager");
    return finish_stop();
  }
  stop_asked_at = executor.now();
  must_list_again = true;
  ask_list();
  round_by(executor.now());
}

void Scaler::Impl::wind_down(Instant now) {
  if (has_list) {
    decision = {0, "the fleet is let go"};
    rule = SizeRule::kLetGo;
    policy_before.reset();
    const std::vector<WorkerSeen> workers = fleet.workers();
    count_costs(now, workers);
    const std::vector<Action> actions = reconciler.wind_down(now, now >= stop_deadline, listed, workers);
    fleet_state.counts = reconciler.counts();
    record(now, fleet.observe(), actions);
    act(actions);
  }
  const bool is_list_fresh = has_list && listed_at >= stop_asked_at;
  if (is_list_fresh && launches.empty() && reconciler.existing() == 0) {
    finish_stop();
  } else if (now >= add_saturated(stop_deadline, kStopGrace)) {
    log.warn("instances may be left behind", {{"provisioner", provisioner.name()},
                                              {"instances", reconciler.existing()},
                                              {"problem", list_problem}});
    finish_stop();
  }
}

void Scaler::Impl::finish_stop() {
  take_account(executor.now(), false);
  keep_spending(executor.now(), true);
  is_stopped = true;
  for (auto& done : std::exchange(stop_done, {})) executor.post(std::move(done));
}

// ---- the ledger ----

std::string_view rule_name(SizeRule rule) {
  switch (rule) {
    case SizeRule::kPolicy:
      return "policy";
    case SizeRule::kOrder:
      return "order";
    case SizeRule::kShare:
      return "share";
    case SizeRule::kNobody:
      return "nobody_leads";
    case SizeRule::kLetGo:
      return "let_go";
  }
  return "unknown";
}

std::optional<Decision> replay(const LedgerEntry& entry) {
  if (entry.policy == nullptr) return std::nullopt;
  return entry.policy->clone()->decide(entry.seen, entry.bounds);
}

void Scaler::Impl::record(Instant now, const Observation& seen, const std::vector<Action>& actions) {
  const FleetCounts counts = fleet_state.counts;
  if (!ledger.empty() && actions.empty()) {
    const LedgerEntry& last = ledger.back();
    if (last.decision.wanted == decision.wanted && last.counts.running == counts.running &&
        last.counts.booting == counts.booting && last.counts.draining == counts.draining)
      return;
  }
  if (options.is_dry_run && decision.wanted != counts.running + counts.booting) {
    log.info(
        "dry run: the fleet would be sized",
        {{"to", decision.wanted}, {"from", counts.running + counts.booting}, {"reason", decision.reason}});
  }
  ++action_totals.decisions;
  ledger.push_back({now, rule, seen, fleet_state.bounds, decision, counts, actions, policy_before});
  if (ledger.size() > kReplayableMax) ledger[ledger.size() - 1 - kReplayableMax].policy.reset();
  while (ledger.size() > std::max<std::size_t>(1, options.ledger_max)) ledger.pop_front();
}

// ---- the outside ----

Scaler::Scaler(Executor& executor, Fleet& fleet, Provisioner& provisioner, std::unique_ptr<Policy> policy,
               ScalerOptions options, std::string launch_prefix, Logger log, Leadership* leadership) {
  options.reconciler.launch_prefix = std::move(launch_prefix);
  options.reconciler.launches_minute_max = options.bounds.launches_minute_max;
  if (!provisioner.can_launch()) options.reconciler.launches_at_once_max = 0;
  impl_ = std::make_unique<Impl>(executor, fleet, provisioner, std::move(policy), std::move(options),
                                 std::move(log), leadership);
}

Scaler::~Scaler() = default;

void Scaler::start() {
  impl_->start();
}

void Scaler::poke() {
  impl_->round_by(impl_->executor.now());
}

void Scaler::stop(Instant deadline, UniqueFunction<void()> done) {
  impl_->stop(deadline, std::move(done));
}

void Scaler::know(const FleetRecord& record) {
  impl_->spending.know(record);
  impl_->spending.look(impl_->executor.now());
  impl_->obey(record.order);
}

void Scaler::on_spending(KeepSpending keep) {
  impl_->keep = std::move(keep);
}

void Scaler::attempt_ended(const std::string& instance, const TaskId& id, const TaskSpec& spec, double run) {
  impl_->costs.attempt_ended(impl_->executor.now(), instance, id, spec, run);
}

const CostLedger& Scaler::costs() const {
  return impl_->costs;
}

double Scaler::spent_month() const {
  return static_cast<double>(impl_->spending.spent_micros()) * 1e-6;
}

const std::string& Scaler::month() const {
  return impl_->spending.month();
}

bool Scaler::is_dry_run() const {
  return impl_->options.is_dry_run;
}

const FleetOrder& Scaler::order() const {
  return impl_->order;
}

const std::string& Scaler::problem() const {
  return impl_->trouble.problem();
}

Instant Scaler::problem_since() const {
  return impl_->trouble.since();
}

const Bounds& Scaler::bounds() const {
  return impl_->options.bounds;
}

FleetCounts Scaler::counts() const {
  return impl_->reconciler.counts();
}

std::uint32_t Scaler::wanted() const {
  return impl_->decision.wanted;
}

FleetState Scaler::state() const {
  return impl_->fleet_state;
}

FleetPart Scaler::part() {
  const bool may_act = impl_->may_act_as(impl_->fleet_state.role);
  return impl_->own_part(impl_->executor.now(), may_act);
}

const std::deque<LedgerEntry>& Scaler::ledger() const {
  return impl_->ledger;
}

const ActionTotals& Scaler::action_totals() const {
  return impl_->action_totals;
}

std::string Scaler::explain() const {
  return impl_->explain();
}

}  // namespace skep::scaler
