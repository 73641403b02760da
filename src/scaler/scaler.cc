// SPDX-License-Identifier: Apache-2.0
#include "scaler/scaler.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "scaler/spending.h"
#include "scaler/trouble.h"

namespace skep::scaler {
namespace {

constexpr Duration kRoundGap = milliseconds(50);  // between rounds, however often it is poked
// With ten thousand workers a round takes milliseconds: it is to take no more than one part in so many.
constexpr int kRoundShare = 50;
constexpr Duration kListAgainFirst = seconds(1);  // after a list that failed, and doubled each time up to
constexpr Duration kListAgainMax = seconds(15);
constexpr Duration kStopGrace = seconds(10);  // after the deadline, for what was terminated to go

std::string verb(std::uint64_t count, const std::string& plural) {
  return std::to_string(count) + " " + plural + (count == 1 ? "s" : "");
}

}  // namespace

struct Scaler::Impl {
  Impl(Executor& e, Fleet& f, Provisioner& p, std::unique_ptr<Policy> sizing, ScalerOptions o, Logger l)
      : executor(e),
        fleet(f),
        provisioner(p),
        policy(std::move(sizing)),
        options(std::move(o)),
        log(std::move(l)),
        reconciler(options.reconciler),
        costs({options.bounds.price_hour}) {}

  void start();
  void stop(Instant deadline, UniqueFunction<void()> done);
  void tick();
  bool ask_list();
  void on_list(std::uint64_t number, Instant asked_at, Result<std::vector<Instance>> reply);
  void round_by(Instant when);
  void round();
  void decide(Instant now);
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
  Instant counts_from = kNoInstant;  // what a machine cost before is not this manager's

  struct UnderWay {
    std::uint32_t count = 0;
    TimerId timer = 0;
  };
  std::map<std::string, UnderWay> launches;  // by token

  Decision decision{0, "nothing was decided yet"};
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
  counts_from = executor.now();
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

void Scaler::Impl::decide(Instant now) {
  const std::vector<WorkerSeen> workers = fleet.workers();
  // What has come up must not count as booting beside the observation that counts it as running.
  if (has_list) reconciler.absorb(now, listed, workers);
  count_costs(now, workers);
  keep_spending(now, false);
  Observation seen = fleet.observe();
  seen.booting_ready_at = reconciler.booting_ready_at();
  seen.boot = reconciler.learned_boot();
  if (order.kind != FleetOrderKind::kNone && !order.holds_at(now)) {
    log.info("the order to the fleet has ended: the policy sizes it again");
    order = {};
  }
  seen.order = order;
  seen.spent_month = static_cast<double>(spending.spent_micros()) * 1e-6;
  decision = policy->decide(seen, options.bounds);
  if (options.is_dry_run) decision.reason += "; nothing is done about it: this is a dry run";
  // A limit lets workers go during a pause, too.
  const bool is_held = options.is_dry_run || (order.is_pause_at(now) &&
                                              decision.wanted >= seen.running + seen.booting_ready_at.size());
  std::vector<Action> actions;
  if (has_list && is_held) {
    actions = reconciler.tend(now, listed, workers);
  } else if (has_list) {
    actions = reconciler.reconcile(now, decision.wanted, std::min(options.bounds.workers_max, decision.most),
                                   listed, workers);
  }
  record(now, seen, actions);
  act(actions);
  tell_problem(now);
}

void Scaler::Impl::obey(const FleetOrder& given) {
  if (given == last_given) return;  // the store is read again and again
  order = last_given = given;
  const std::string until = format_instant(order.until);
  if (!order.holds_at(executor.now())) {
    log.info("the fleet is sized by the policy: no order holds");
  } else if (order.kind == FleetOrderKind::kPause) {
    log.info("scaling is paused by an order", {{"until", until}});
  } else {
    log.info("the size of the fleet is ordered", {{"workers", order.workers}, {"until", until}});
  }
  round_by(executor.now());
}

// ---- what it costs ----

void Scaler::Impl::count_costs(Instant now, const std::vector<WorkerSeen>& workers) {
  if (costs.price_hour() <= 0 || !has_list) return;
  std::map<std::string_view, const WorkerSeen*> by_instance;
  for (const WorkerSeen& worker : workers) {
    if (!worker.instance.empty() && !worker.is_lost) by_instance[worker.instance] = &worker;
  }
  std::set<std::string_view> there;
  for (const Instance& instance : listed) {
    if (instance.state == InstanceState::kGone) continue;
    there.insert(instance.token);
    const auto found = by_instance.find(instance.token);
    const WorkerSeen* worker = found == by_instance.end() ? nullptr : found->second;
    const Instant from = std::clamp(instance.started_at, counts_from, now);
    costs.machine_at(now, instance.token, from, worker != nullptr ? worker->slots : 1,
                     worker != nullptr ? worker->leases : 0);
  }
  std::vector<std::string> gone;
  costs.visit_machines([&](const std::string& name) {
    if (!there.contains(name)) gone.push_back(name);
  });
  for (const std::string& name : gone) costs.machine_gone(now, name);
}

void Scaler::Impl::keep_spending(Instant now, bool is_last) {
  spending.observe(now, costs.total());
  if (!keep) return;
  auto part = spending.take(now, is_last);
  if (!part) return;
  keep(std::move(part->month), part->micros,
       guarded([this](const Result<void>& done) { spending.settle(done.has_value()); }));
}

// ---- what keeps it from acting ----

std::string Scaler::Impl::find_problem() const {
  if (!list_problem.empty()) return "the provisioner does not list its instances: " + list_problem;
  if (!terminate_problem.empty()) return "instances can not be terminated: " + terminate_problem;
  if (options.is_dry_run || decision.wanted <= reconciler.counts().running) return {};
  const std::string failing = reconciler.failing_because();
  if (!failing.empty()) return failing + "; it is tried again with growing pauses";
  return launch_problem;
}

void Scaler::Impl::tell_problem(Instant now) {
  if (reconciler.counts().draining == 0) terminate_problem.clear();  // what could not be terminated is gone
  const Instant began_at = trouble.since();
  switch (trouble.update(now, find_problem())) {
    case Trouble::News::kNone:
      break;
    case Trouble::News::kBegan:
      log.error("the scaler can not do what it wants",
                {{"provisioner", provisioner.name()}, {"problem", trouble.problem()}});
      break;
    case Trouble::News::kStill:
      log.error("the scaler still can not do what it wants", {{"provisioner", provisioner.name()},
                                                              {"problem", trouble.problem()},
                                                              {"for", describe_duration(now - began_at)}});
      break;
    case Trouble::News::kEnded:
      log.info("the scaler can act again", {{"after", describe_duration(now - began_at)}});
      break;
  }
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
        if (options.is_dry_run) break;
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
  stop_asked_at = executor.now();
  must_list_again = true;
  ask_list();
  round_by(executor.now());
}

void Scaler::Impl::wind_down(Instant now) {
  if (has_list) {
    decision = {0, "the fleet is let go"};
    const std::vector<WorkerSeen> workers = fleet.workers();
    count_costs(now, workers);
    const std::vector<Action> actions = reconciler.wind_down(now, now >= stop_deadline, listed, workers);
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
  keep_spending(executor.now(), true);
  is_stopped = true;
  for (auto& done : std::exchange(stop_done, {})) executor.post(std::move(done));
}

// ---- the ledger ----

void Scaler::Impl::record(Instant now, const Observation& seen, const std::vector<Action>& actions) {
  const FleetCounts counts = reconciler.counts();
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
  ledger.push_back({now, seen, decision, counts, actions});
  while (ledger.size() > std::max<std::size_t>(1, options.ledger_max)) ledger.pop_front();
}

std::string Scaler::Impl::explain() const {
  const FleetCounts counts = reconciler.counts();
  std::string text = std::to_string(decision.wanted) +
                     (decision.wanted == 1 ? " worker is wanted and " : " workers are wanted and ") +
                     verb(counts.running, "run");
  if (counts.booting > 0) text += ", " + verb(counts.booting, "boot");
  if (counts.draining > 0) text += ", " + verb(counts.draining, "drain");
  text += ", because " + decision.reason;
  if (!provisioner.can_launch()) text += "; workers are started by something else";
  if (!reconciler.held_because().empty()) text += "; " + reconciler.held_because();
  if (!list_problem.empty() || !terminate_problem.empty()) text += "; " + find_problem();
  return text;
}

// ---- the outside ----

Scaler::Scaler(Executor& executor, Fleet& fleet, Provisioner& provisioner, std::unique_ptr<Policy> policy,
               ScalerOptions options, std::string launch_prefix, Logger log) {
  options.reconciler.launch_prefix = std::move(launch_prefix);
  if (!provisioner.can_launch()) options.reconciler.launches_at_once_max = 0;
  impl_ = std::make_unique<Impl>(executor, fleet, provisioner, std::move(policy), std::move(options),
                                 std::move(log));
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
  impl_->spending.know(record.month, record.spent_micros);
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

const std::deque<LedgerEntry>& Scaler::ledger() const {
  return impl_->ledger;
}

std::string Scaler::explain() const {
  return impl_->explain();
}

}  // namespace skep::scaler
