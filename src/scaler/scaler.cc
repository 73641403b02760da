// SPDX-License-Identifier: Apache-2.0
#include "scaler/scaler.h"

#include <algorithm>
#include <map>
#include <utility>

namespace skep::scaler {
namespace {

constexpr Duration kRoundGap = milliseconds(50);  // between rounds, however often it is poked
// With ten thousand workers a round takes milliseconds: it is to take no more than one part in so many.
constexpr int kRoundShare = 50;
constexpr Duration kStopGrace = seconds(10);  // after the deadline, for what was terminated to go

std::string verb(std::uint64_t count, const std::string& plural) {
  return std::to_string(count) + " " + plural + (count == 1 ? "s" : "");
}

}  // namespace

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
        reconciler(options.reconciler) {
    fleet_state.bounds = options.bounds;
  }

  void start();
  void stop(Instant deadline, UniqueFunction<void()> done);
  void tick();
  void ask_list();
  void on_list(std::uint64_t number, Instant asked_at, Result<std::vector<Instance>> reply);
  void round_by(Instant when);
  void round();
  void decide(Instant now);
  FleetPart own_part(Instant now, bool may_act);
  std::uint32_t size(Instant now, bool may_act);
  bool may_act_as(FleetRole as) const;
  void wind_down(Instant now);
  void finish_stop();
  void act(const std::vector<Action>& actions);
  void launch(const Action& action);
  void on_launched(const std::string& token, const LaunchReply& reply);
  void terminate(std::vector<std::string> ids);
  void record(Instant now, const Observation& seen, const std::vector<Action>& actions);
  std::string explain() const;

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

  struct UnderWay {
    std::uint32_t count = 0;
    TimerId timer = 0;
  };
  std::map<std::string, UnderWay> launches;  // by token

  Decision decision{0, "nothing was decided yet"};
  FleetState fleet_state;
  Observation decided_on;
  Instant role_since = kNoInstant;
  std::deque<LedgerEntry> ledger;

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

// ---- the loop ----

void Scaler::Impl::start() {
  if (std::exchange(is_started, true)) return;
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
  ask_list();
  if (is_list_slow) round();
}

// One list at a time. One that is not answered in time is given up, and its answer ignored should it come.
void Scaler::Impl::ask_list() {
  if (is_stopped) return;
  const Instant now = executor.now();
  if (list_deadline != kNoInstant && now < list_deadline) return;
  if (list_deadline != kNoInstant) {
    list_problem = "it did not answer for " + describe_duration(options.reply_timeout);
    log.warn("the provisioner does not list its instances",
             {{"provisioner", provisioner.name()}, {"problem", list_problem}});
  }
  must_list_again = false;
  list_deadline = now + options.reply_timeout;
  const std::uint64_t number = ++list_number;
  provisioner.list(guarded(
      [this, number, now](Result<std::vector<Instance>> reply) { on_list(number, now, std::move(reply)); }));
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
  } else {
    if (list_problem.empty()) {
      log.warn("the provisioner does not list its instances",
               {{"provisioner", provisioner.name()}, {"problem", reply.error().message}});
    }
    list_problem = reply.error().message;
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
  part.can_launch = provisioner.can_launch() && may_act && !is_stopping && !is_stopped;
  part.is_failing = reconciler.is_failing(now);
  part.held_because = reconciler.held_because();
  part.seen = fleet.observe();
  part.seen.booting_ready_at = reconciler.booting_ready_at();
  part.seen.boot = reconciler.learned_boot();
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
  if (decides) {
    decision = policy->decide(decided_on, fleet_state.bounds);
    if (role == FleetRole::kAlone && leadership != nullptr)
      decision.reason = leadership->reason() + ", so the shards here count: " + decision.reason;
    fleet_state.wanted = here = decision.wanted;
  }
  if (parts.size() > 1) {
    const auto shares = share_out(decision.wanted, parts);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].share = shares[i];
    leadership->give({shares.begin() + 1, shares.end()}, decision);
    here = shares.front() + own.others;
  } else if (role == FleetRole::kFollows) {
    const FleetOrder order = leadership->order();
    fleet_state.leader = order.leader;
    fleet_state.wanted = order.wanted;
    own.share = order.share;
    here = order.share + own.others;
    decision = {here, order.leader + " leads the fleet, wants " + std::to_string(order.wanted) +
                          " in all and these here: " + order.reason};
  } else if (role == FleetRole::kWaits) {
    fleet_state.wanted = here;
    decision = {here, "what is there is kept: " + leadership->reason()};
  } else {
    own.share = here - std::min(here, own.others);
  }
  fleet_state.parts = std::move(parts);
  return here;
}

void Scaler::Impl::decide(Instant now) {
  const std::vector<WorkerSeen> workers = fleet.workers();
  const bool may_act = leadership == nullptr || may_act_as(leadership->role());
  // What has come up must not count as booting beside the observation that counts it as running.
  if (has_list && may_act) reconciler.absorb(now, listed, workers);
  const std::uint32_t here = size(now, may_act);
  // Of a cluster-wide provisioner, what a former leader started must be in the list.
  const bool is_list_fit = has_list && (!provisioner.is_cluster_wide() || listed_at >= role_since);
  std::vector<Action> actions;
  if (is_list_fit && may_act)
    actions = reconciler.reconcile(now, here, options.bounds.workers_max, listed, workers);
  if (may_act) fleet_state.parts.front().counts = reconciler.counts();
  fleet_state.counts = whole_counts(fleet_state.parts);
  record(now, decided_on, actions);
  act(actions);
}

// ---- acting ----

void Scaler::Impl::act(const std::vector<Action>& actions) {
  std::vector<std::string> terminated;
  for (const Action& action : actions) {
    switch (action.kind) {
      case ActionKind::kForget:
        log.warn("worker is gone", {{"worker", action.worker}, {"reason", action.reason}});
        fleet.forget_worker(action.worker, action.reason);
        break;
      case ActionKind::kDrain:
        log.info("draining a worker",
                 {{"worker", action.worker}, {"instance", action.instance}, {"reason", action.reason}});
        fleet.drain_worker(action.worker);
        break;
      case ActionKind::kTerminate:
        log.info("terminating an instance", {{"instance", action.instance}, {"reason", action.reason}});
        terminated.push_back(action.instance);
        break;
      case ActionKind::kLaunch:
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
                          if (reply) return;
                          // The reconciler asks again while they are listed.
                          log.warn("terminating failed", {{"problem", reply.error().message}});
                        }));
}

// ---- the end ----

void Scaler::Impl::stop(Instant deadline, UniqueFunction<void()> done) {
  if (!is_started || is_stopped) {
    is_stopped = true;
    executor.post(std::move(done));
    return;
  }
  stop_done.push_back(std::move(done));
  stop_deadline = std::min(stop_deadline, deadline);
  executor.post_at(stop_deadline, guarded([this] { round(); }));
  executor.post_at(add_saturated(stop_deadline, kStopGrace), guarded([this] { round(); }));
  if (std::exchange(is_stopping, true)) return;
  if (provisioner.is_cluster_wide() && leadership != nullptr && leadership->has_siblings()) {
    log.info("the fleet is left to the other managers");
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
    const std::vector<Action> actions =
        reconciler.wind_down(now, now >= stop_deadline, listed, fleet.workers());
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
  is_stopped = true;
  for (auto& done : std::exchange(stop_done, {})) executor.post(std::move(done));
}

// ---- the ledger ----

void Scaler::Impl::record(Instant now, const Observation& seen, const std::vector<Action>& actions) {
  const FleetCounts counts = fleet_state.counts;
  if (!ledger.empty() && actions.empty()) {
    const LedgerEntry& last = ledger.back();
    if (last.decision.wanted == decision.wanted && last.counts.running == counts.running &&
        last.counts.booting == counts.booting && last.counts.draining == counts.draining)
      return;
  }
  ledger.push_back({now, seen, decision, counts, actions});
  while (ledger.size() > std::max<std::size_t>(1, options.ledger_max)) ledger.pop_front();
}

std::string Scaler::Impl::explain() const {
  const FleetCounts& counts = fleet_state.counts;
  std::string text = std::to_string(decision.wanted) +
                     (decision.wanted == 1 ? " worker is wanted and " : " workers are wanted and ") +
                     verb(counts.running, "run");
  if (counts.booting > 0) text += ", " + verb(counts.booting, "boot");
  if (counts.draining > 0) text += ", " + verb(counts.draining, "drain");
  text += ", because " + decision.reason;
  const bool can_launch = std::any_of(fleet_state.parts.begin(), fleet_state.parts.end(),
                                      [](const FleetPart& part) { return part.can_launch; });
  if (!can_launch && !provisioner.can_launch()) text += "; workers are started by something else";
  if (!reconciler.held_because().empty()) text += "; " + reconciler.held_because();
  for (std::size_t i = 1; i < fleet_state.parts.size(); ++i) {
    const FleetPart& part = fleet_state.parts[i];
    if (part.is_silent) {
      text += "; " + part.address + " was silent for " + describe_duration(part.silence) +
              " and counts as it last was";
    } else if (!part.held_because.empty()) {
      text += "; at " + part.address + ": " + part.held_because;
    }
  }
  if (!list_problem.empty()) text += "; the provisioner does not list its instances: " + list_problem;
  return text;
}

// ---- the outside ----

Scaler::Scaler(Executor& executor, Fleet& fleet, Provisioner& provisioner, std::unique_ptr<Policy> policy,
               ScalerOptions options, std::string launch_prefix, Logger log, Leadership* leadership) {
  options.reconciler.launch_prefix = std::move(launch_prefix);
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

std::string Scaler::explain() const {
  return impl_->explain();
}

}  // namespace skep::scaler
