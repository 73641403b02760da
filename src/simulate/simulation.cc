// SPDX-License-Identifier: Apache-2.0
#include "simulate/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <queue>

#include "base/random.h"
#include "scaler/reconciler.h"
#include "simulate/lines.h"
#include "simulate/machines.h"
#include "simulate/waits.h"

namespace skep::simulate {
namespace {

constexpr Instant kBegin = Instant{} + hours(1);
constexpr double kActPeriod = 5;         // seconds between looks of the reconciler at the latest
constexpr double kRateMemory = 30;       // seconds, as the manager's
constexpr double kGiveUpAfter = 86'400;  // seconds past the trace's end
constexpr std::size_t kPolls = 10;
constexpr std::size_t kReasonsMax = 400;

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Instant at(double seconds_in) {
  return kBegin + Duration(static_cast<Duration::rep>(seconds_in * 1e9));
}

enum class EventKind : std::uint8_t { kUp, kEnd, kFree, kNotice, kTaken };

struct Event {
  double at_s = 0;
  std::uint64_t order = 0;  // of two at the same time the one planned first comes first
  EventKind kind = EventKind::kUp;
  std::uint32_t machine = 0;
  std::uint32_t version = 0;

  bool operator<(const Event& other) const {
    return at_s != other.at_s ? at_s > other.at_s : order > other.order;
  }
};

class World {
 public:
  World(const Trace& trace, const WorldOptions& options, Sizing& sizing, std::uint64_t seed);
  Outcome run();

 private:
  void step_to_next();
  void handle(const Event& event);
  void arrive();
  void come_up(std::uint32_t index);
  void end_task(std::uint32_t index);
  void serve();
  void start(std::uint32_t task, std::uint32_t index);
  void foresee_end(std::uint32_t index);
  void free_slot(std::uint32_t index);
  void hand_back(Machine& machine);
  void go(std::uint32_t index);

  void tick();
  void look();
  void reconcile();
  void act(const std::vector<scaler::Action>& actions);
  void launch(const scaler::Action& action);
  std::uint32_t add_machine(std::string token, double now_s);
  void plan(double at_s, EventKind kind, std::uint32_t machine, std::uint32_t version = 0);
  Machine* machine_of(const std::string& id);
  std::vector<scaler::WorkerSeen> workers() const;
  Sight observe();
  void note_polls(Sight& sight) const;
  void sample(double until_s);
  Outcome result();
  bool is_over() const;

  const Trace& trace_;
  const WorldOptions& options_;
  Sizing& sizing_;
  Random boots_;
  Random lives_;
  scaler::Reconciler reconciler_;

  double now_s_ = 0;
  std::priority_queue<Event> events_;
  std::uint64_t planned_ = 0;
  std::vector<Machine> machines_;
  std::vector<std::uint32_t> alive_;  // of machines that are not gone, oldest first
  std::vector<std::uint32_t>
      free_;  // a machine for each free slot, the one busy last at the end; some are stale
  std::vector<scaler::Instance> listed_;

  std::vector<float> estimates_;
  std::vector<bool> has_started_;
  Lines lines_;
  std::size_t next_arrival_ = 0;
  std::uint64_t ended_ = 0;
  double queued_estimate_ = 0;
  double queued_work_ = 0;
  double arrived_estimate_ = 0;
  double arrived_at_last_tick_ = 0;
  double arrived_work_ = 0;
  double last_tick_s_ = 0;
  double rate_ = 0;
  std::uint64_t started_ = 0;

  double next_decision_s_ = 0;
  double next_look_s_ = 0;
  std::uint32_t wanted_ = 0;
  bool is_changed_ = true;
  double launch_tokens_ = 0;
  double tokens_at_s_ = 0;
  std::deque<double> polls_;

  Waits waits_;
  Waits bin_waits_;
  double bin_s_ = 0;
  double sampled_s_ = 0;
  double sampled_work_ = 0;
  Outcome outcome_;
};

scaler::ReconcilerOptions reconciler_options(const WorldOptions& world, const Sizing& sizing) {
  scaler::ReconcilerOptions options;
  options.boot_timeout = std::max<Duration>(seconds(30), 4 * world.boot);
  options.drain_timeout = minutes(10);
  options.boot = world.boot;
  options.busy_hold = sizing.busy_hold();
  options.launches_at_once_max = std::max(16u, world.bounds.workers_max);
  return options;
}

World::World(const Trace& trace, const WorldOptions& options, Sizing& sizing, std::uint64_t seed)
    : trace_(trace),
      options_(options),
      sizing_(sizing),
      boots_(seed * 2 + 1),
      lives_(seed * 2 + 2),
      reconciler_(reconciler_options(options, sizing)),
      lines_(trace, options.bounds),
      waits_(in_seconds(options.bounds.target_wait)),
      bin_waits_(in_seconds(options.bounds.target_wait)) {
  Random noise(seed * 7 + 3);
  estimates_.reserve(trace.tasks.size());
  for (const Arrival& task : trace.tasks) {
    const double radius = std::sqrt(-2 * std::log1p(-noise.unit()));
    const double normal = radius * std::cos(6.283185307179586 * noise.unit());
    estimates_.push_back(static_cast<float>(task.service_s * options.estimate_bias *
                                            std::exp(options.estimate_noise * normal)));
  }
  has_started_.resize(trace.tasks.size());
  bin_s_ = std::max(1.0, trace.span_s / 400);
  launch_tokens_ = options.launches_minute_max;
  for (std::uint32_t i = 0; i < options.bounds.workers_min; ++i) {
    const std::uint32_t index = add_machine("first-" + std::to_string(i), 0);
    come_up(index);
  }
  wanted_ = options.bounds.workers_min;
}

Outcome World::run() {
  while (!is_over()) step_to_next();
  return result();
}

bool World::is_over() const {
  if (now_s_ > trace_.span_s + kGiveUpAfter) return true;
  return ended_ == trace_.tasks.size() && now_s_ >= trace_.span_s;
}

void World::step_to_next() {
  const double arrival = next_arrival_ < trace_.tasks.size() ? trace_.tasks[next_arrival_].at_s : 1e300;
  const double event = events_.empty() ? 1e300 : events_.top().at_s;
  const double tick_at = std::min(next_decision_s_, next_look_s_);
  const double next = std::min({arrival, event, tick_at});
  if (options_.wants_series) sample(next);
  now_s_ = std::max(now_s_, next);
  if (event <= next) {
    const Event top = events_.top();
    events_.pop();
    handle(top);
  } else if (arrival <= next) {
    arrive();
  } else {
    tick();
  }
}

void World::handle(const Event& event) {
  Machine& machine = machines_[event.machine];
  if (machine.state == MachineState::kGone) return;
  switch (event.kind) {
    case EventKind::kUp:
      come_up(event.machine);
      break;
    case EventKind::kEnd:
      if (machine.version == event.version) end_task(event.machine);
      break;
    case EventKind::kFree:
      free_slot(event.machine);
      break;
    case EventKind::kNotice:
      ++outcome_.interruptions;
      if (machine.state != MachineState::kUp) break;
      machine.is_draining = true;
      if (machine.running.empty()) go(event.machine);
      reconcile();
      break;
    case EventKind::kTaken:
      hand_back(machine);
      go(event.machine);
      reconcile();
      break;
  }
}

// ---- tasks ----

void World::arrive() {
  const auto task = static_cast<std::uint32_t>(next_arrival_++);
  const double estimate = estimates_[task];
  arrived_estimate_ += estimate;
  arrived_work_ += trace_.tasks[task].service_s;
  queued_estimate_ += estimate;
  queued_work_ += trace_.tasks[task].service_s;
  lines_.arrive(task, trace_.tasks[task].queue, estimate);
  serve();
}

void World::serve() {
  while (!lines_.empty() && !free_.empty()) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    if (!machines_[index].takes_tasks(options_.slots)) continue;
    start(lines_.take(estimates_), index);
  }
}

void World::start(std::uint32_t task, std::uint32_t index) {
  Machine& machine = machines_[index];
  const Arrival& arrival = trace_.tasks[task];
  queued_estimate_ -= estimates_[task];
  queued_work_ -= arrival.service_s;
  if (!has_started_[task]) {
    has_started_[task] = true;
    const double wait = now_s_ - arrival.at_s;
    lines_.note_wait(arrival.queue, wait);
    waits_.add(wait, lines_.target_s(arrival.queue));
    if (options_.wants_series) bin_waits_.add(wait);
    ++started_;
  }
  if (sizing_.wants_polls()) {
    polls_.push_back(now_s_);
    if (polls_.size() > kPolls) polls_.pop_front();
  }
  machine.advance(now_s_, options_.slot_gain);
  machine.running.push_back({task, machine.progress + arrival.service_s});
  foresee_end(index);
}

void World::foresee_end(std::uint32_t index) {
  Machine& machine = machines_[index];
  ++machine.version;
  if (machine.running.empty()) return;
  const double left = machine.running[machine.next_to_end()].ends_at - machine.progress;
  plan(now_s_ + std::max(0.0, left) / machine.rate(options_.slot_gain), EventKind::kEnd, index,
       machine.version);
}

void World::end_task(std::uint32_t index) {
  Machine& machine = machines_[index];
  machine.advance(now_s_, options_.slot_gain);
  machine.running.erase(machine.running.begin() + static_cast<std::ptrdiff_t>(machine.next_to_end()));
  ++ended_;
  foresee_end(index);
  if (machine.running.empty()) machine.idle_since_s = now_s_;
  if (machine.is_draining) {
    if (!machine.running.empty()) return;
    go(index);
    reconcile();
    return;
  }
  const Duration pause = sizing_.pause_before_task();
  if (pause > Duration::zero()) {
    plan(now_s_ + in_seconds(pause), EventKind::kFree, index);
  } else {
    free_slot(index);
  }
}

void World::free_slot(std::uint32_t index) {
  free_.push_back(index);
  serve();
}

// To the front, in the order in which they were taken.
void World::hand_back(Machine& machine) {
  for (auto it = machine.running.rbegin(); it != machine.running.rend(); ++it) {
    lines_.give_back(it->task, trace_.tasks[it->task].queue, estimates_[it->task]);
    queued_estimate_ += estimates_[it->task];
    queued_work_ += trace_.tasks[it->task].service_s;
    ++outcome_.restarted;
  }
  machine.running.clear();
}

// ---- machines ----

void World::plan(double at_s, EventKind kind, std::uint32_t machine, std::uint32_t version) {
  events_.push({at_s, planned_++, kind, machine, version});
}

std::uint32_t World::add_machine(std::string token, double now_s) {
  const auto index = static_cast<std::uint32_t>(machines_.size());
  Machine machine;
  machine.id = "i" + std::to_string(index);
  machine.worker = "w" + std::to_string(index);
  machine.token = std::move(token);
  machine.launched_s = machine.progress_at_s = machine.idle_since_s = now_s;
  machine.speed = options_.speeds[lives_.below(options_.speeds.size())];
  if (options_.interruptions_hour > 0) {
    const double taken = now_s - std::log1p(-lives_.unit()) * 3600 / options_.interruptions_hour;
    plan(std::max(now_s, taken - in_seconds(options_.notice)), EventKind::kNotice, index);
    plan(taken, EventKind::kTaken, index);
  }
  machines_.push_back(std::move(machine));
  alive_.push_back(index);
  scaler::Instance instance;
  instance.id = machines_[index].id;
  instance.token = machines_[index].token;
  instance.started_at = at(now_s);
  listed_.push_back(std::move(instance));
  return index;
}

void World::come_up(std::uint32_t index) {
  Machine& machine = machines_[index];
  machine.state = MachineState::kUp;
  machine.idle_since_s = machine.progress_at_s = now_s_;
  free_.insert(free_.end(), options_.slots, index);
  if (now_s_ > 0) reconcile();
  serve();
}

void World::go(std::uint32_t index) {
  Machine& machine = machines_[index];
  machine.state = MachineState::kGone;
  machine.gone_s = now_s_;
  ++machine.version;
  std::erase(alive_, index);
  std::erase_if(listed_, [&](const scaler::Instance& instance) { return instance.id == machine.id; });
  serve();
}

Machine* World::machine_of(const std::string& id) {
  const auto index = static_cast<std::size_t>(std::strtoul(id.c_str() + 1, nullptr, 10));
  return index < machines_.size() ? &machines_[index] : nullptr;
}

// ---- the scaler's part ----

void World::tick() {
  if (next_decision_s_ <= now_s_) {
    const bool has_tick = options_.tick > Duration::zero() && sizing_.explains();
    next_decision_s_ = now_s_ + in_seconds(has_tick ? options_.tick : sizing_.period());
    const Sight sight = observe();
    const scaler::Bounds& bounds = options_.bounds;
    scaler::Decision decision = sizing_.decide(sight, bounds);
    const std::uint32_t wanted = std::clamp(decision.wanted, bounds.workers_min, bounds.workers_max);
    if (wanted != wanted_ && sizing_.explains() && options_.wants_series) {
      if (outcome_.reasons.size() == kReasonsMax) outcome_.reasons.erase(outcome_.reasons.begin());
      outcome_.reasons.emplace_back(now_s_, std::to_string(wanted) + ": " + decision.reason);
    }
    wanted_ = wanted;
    is_changed_ |= wanted != sight.seen.running + sight.seen.booting_ready_at.size();
  }
  look();
}

void World::look() {
  next_look_s_ = now_s_ + kActPeriod;
  if (is_changed_ || reconciler_.wake_at() <= at(now_s_)) reconcile();
}

void World::reconcile() {
  is_changed_ = false;
  const std::uint32_t wanted = wanted_;
  act(reconciler_.reconcile(at(now_s_), wanted, options_.bounds.workers_max, listed_, workers()));
  const scaler::FleetCounts counts = reconciler_.counts();
  is_changed_ = counts.running + counts.booting != wanted;
}

std::vector<scaler::WorkerSeen> World::workers() const {
  std::vector<scaler::WorkerSeen> seen;
  seen.reserve(alive_.size());
  for (const std::uint32_t index : alive_) {
    const Machine& machine = machines_[index];
    if (machine.state != MachineState::kUp) continue;
    scaler::WorkerSeen worker;
    worker.worker = machine.worker;
    worker.instance = machine.token;
    worker.is_draining = machine.is_draining;
    worker.leases = static_cast<std::uint32_t>(machine.running.size());
    worker.heard_at = at(now_s_);
    worker.idle_since = machine.running.empty() ? at(machine.idle_since_s) : kNoInstant;
    seen.push_back(std::move(worker));
  }
  return seen;
}

void World::act(const std::vector<scaler::Action>& actions) {
  for (const scaler::Action& action : actions) {
    if (action.kind == scaler::ActionKind::kLaunch) {
      launch(action);
      continue;
    }
    if (action.kind == scaler::ActionKind::kForget) continue;  // its tasks went back when it went
    Machine* machine = machine_of(action.instance);
    if (machine == nullptr || machine->state == MachineState::kGone) continue;
    if (!std::exchange(machine->was_told_to_go, true)) ++outcome_.stops;
    machine->is_draining = true;
    if (action.kind == scaler::ActionKind::kTerminate) {
      if (machine->state == MachineState::kBooting) ++outcome_.boot_failures;
      hand_back(*machine);
    }
    if (machine->running.empty()) {
      go(static_cast<std::uint32_t>(machine - machines_.data()));
      is_changed_ = true;
    }
  }
}

void World::launch(const scaler::Action& action) {
  scaler::LaunchReply reply;
  const double per_minute = options_.launches_minute_max;
  launch_tokens_ = std::min(per_minute, launch_tokens_ + (now_s_ - tokens_at_s_) * per_minute / 60);
  tokens_at_s_ = now_s_;
  for (std::uint32_t i = 0; i < action.count; ++i) {
    const bool is_throttled = options_.launches_minute_max > 0 && launch_tokens_ < 1;
    const bool is_full = options_.capacity_max > 0 && alive_.size() >= options_.capacity_max;
    if (is_throttled || is_full) {
      ++outcome_.refused;
      reply.errors.push_back(fail(Code::kExhausted, is_full ? "no capacity" : "too many launches a minute"));
      continue;
    }
    launch_tokens_ -= 1;
    ++outcome_.launches;
    const std::uint32_t index = add_machine(action.token + "-" + std::to_string(i), now_s_);
    reply.started.push_back(listed_.back());
    const double spread = 1 + options_.boot_spread * (2 * boots_.unit() - 1);
    const bool fails = boots_.chance(options_.boot_failure_share);
    if (!fails) plan(now_s_ + in_seconds(options_.boot) * spread, EventKind::kUp, index);
  }
  reconciler_.on_launched(at(now_s_), action.count, reply, action.token);
}

Sight World::observe() {
  Sight sight;
  scaler::Observation& seen = sight.seen;
  seen.now = at(now_s_);
  seen.queued = lines_.size();
  seen.queued_seconds = lines_.empty() ? 0 : std::max(0.0, queued_estimate_);
  if (!lines_.empty())
    seen.oldest_wait = Duration(static_cast<Duration::rep>((now_s_ - lines_.oldest_s(trace_)) * 1e9));
  std::vector<std::uint64_t> leased(lines_.queues());
  std::vector<double> leased_estimates(lines_.queues());
  for (const std::uint32_t index : alive_) {
    Machine& machine = machines_[index];
    if (machine.state != MachineState::kUp) continue;
    machine.advance(now_s_, options_.slot_gain);
    for (const Running& running : machine.running) {
      const double share = (running.ends_at - machine.progress) / trace_.tasks[running.task].service_s;
      const double left = std::clamp(share, 0.0, 1.0) * estimates_[running.task];
      seen.leased_seconds += left;
      ++leased[trace_.tasks[running.task].queue];
      leased_estimates[trace_.tasks[running.task].queue] += left;
    }
    seen.leased += machine.running.size();
    if (machine.is_draining) {
      ++seen.draining;
      continue;
    }
    ++seen.running;
    if (!machine.running.empty()) continue;
    ++seen.idle;
    sight.idle_s.push_back(now_s_ - machine.idle_since_s);
  }
  std::sort(sight.idle_s.begin(), sight.idle_s.end(), std::greater<>());
  if (now_s_ > last_tick_s_) {
    const double arrived = (arrived_estimate_ - arrived_at_last_tick_) / (now_s_ - last_tick_s_);
    rate_ += -std::expm1(-(now_s_ - last_tick_s_) / kRateMemory) * (arrived - rate_);
  }
  seen.loads = lines_.loads(trace_, now_s_, now_s_ - last_tick_s_, leased, leased_estimates);
  arrived_at_last_tick_ = arrived_estimate_;
  last_tick_s_ = now_s_;
  seen.arrival_seconds = rate_;
  seen.started = started_;
  seen.slots_per_worker = options_.slots;
  seen.booting_ready_at = reconciler_.booting_ready_at();
  seen.boot = reconciler_.learned_boot();
  if (sizing_.wants_polls()) note_polls(sight);
  return sight;
}

// Those that got work are remembered; an idle worker asks once a second.
void World::note_polls(Sight& sight) const {
  std::vector<double> polls(polls_.begin(), polls_.end());
  for (const std::uint32_t index : alive_) {
    const Machine& machine = machines_[index];
    if (machine.state != MachineState::kUp || !machine.running.empty()) continue;
    const double count = std::floor(now_s_ - machine.idle_since_s);
    for (std::size_t i = 0; i < kPolls && static_cast<double>(i) < count; ++i) {
      polls.push_back(machine.idle_since_s + count - static_cast<double>(i));
    }
  }
  std::sort(polls.begin(), polls.end());
  if (polls.size() > kPolls) polls.erase(polls.begin(), polls.end() - kPolls);
  sight.polls_s = std::move(polls);
}

// ---- figures ----

void World::sample(double until_s) {
  while (sampled_s_ + bin_s_ <= std::min(until_s, 1e12)) {
    sampled_s_ += bin_s_;
    Sample sample;
    sample.at_s = sampled_s_;
    sample.load = (arrived_work_ - sampled_work_) / bin_s_;
    sampled_work_ = arrived_work_;
    for (const std::uint32_t index : alive_) {
      ++(machines_[index].state == MachineState::kUp ? sample.running : sample.booting);
    }
    sample.backlog_s = lines_.empty() ? 0 : std::max(0.0, queued_work_);
    sample.wait_p95_s = bin_waits_.percentile(0.95);
    bin_waits_.clear();
    outcome_.series.push_back(sample);
  }
}

Outcome World::result() {
  Outcome& out = outcome_;
  out.tasks = trace_.tasks.size();
  out.end_s = now_s_;
  out.is_finished = ended_ == trace_.tasks.size();
  // What never started waited until now.
  for (std::size_t task = 0; task < has_started_.size(); ++task) {
    if (has_started_[task]) continue;
    const double wait = std::max(0.0, now_s_ - trace_.tasks[task].at_s);
    waits_.add(wait, lines_.target_s(trace_.tasks[task].queue));
    lines_.note_wait(trace_.tasks[task].queue, wait);
  }
  out.wait_p50_s = waits_.percentile(0.5);
  out.wait_p95_s = waits_.percentile(0.95);
  out.wait_p99_s = waits_.percentile(0.99);
  out.late_share = waits_.late_share();
  out.queues = lines_.figures();
  double there = 0;
  for (const Machine& machine : machines_) {
    const double end = machine.state == MachineState::kGone ? machine.gone_s : now_s_;
    there += end - machine.launched_s;
    out.worker_seconds += std::max(in_seconds(options_.billed_min), end - machine.launched_s);
  }
  out.cost = out.worker_seconds / 3600 * options_.price_hour;
  out.fleet_mean = there / std::max(1.0, now_s_);
  out.scale_events = out.launches + out.stops;
  return std::move(out);
}

}  // namespace

Outcome simulate(const Trace& trace, const WorldOptions& options, Sizing& sizing, std::uint64_t seed) {
  return World(trace, options, sizing, seed).run();
}

}  // namespace skep::simulate
