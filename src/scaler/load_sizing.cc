// SPDX-License-Identifier: Apache-2.0
#include "scaler/load_sizing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace skep::scaler {
namespace {

constexpr double kHeadroom = 1.1;      // workers for what arrives: 1.1 times what it would keep busy
constexpr int kBootsWorth = 4;         // a worker pays if it saves so many boots of waiting
constexpr int kTargetParts = 8;        // the shortest wait aimed at is this part of the target
constexpr double kHoldMax = 600;       // seconds: however careful, an idle fleet goes,
constexpr double kHoldBootsMax = 30;   // and the sooner the less a boot costs
constexpr double kTasksSeen = 10;      // mean task lengths that a hold lasts at least, before caution
constexpr double kReaction = 5;        // seconds until a decision has its effect, beside the boot
constexpr double kRoundUpFrom = 0.01;  // a worker is not started for less of its work
constexpr double kTaskLeast = 1e-3;    // seconds: what a turn of leases takes at least
constexpr double kWorkersMax = 1e6;    // these two keep numbers within their types
constexpr double kSecondsMax = 1e9;

double positive(double value) {
  return std::isfinite(value) ? std::max(0.0, value) : 0.0;
}

CautionOptions caution_options(const DrainTimeOptions& options) {
  CautionOptions caution;
  caution.first = options.tuning.caution_first;
  caution.unproved = options.tuning.caution_unproved;
  return caution;
}

Duration boot_of(const Observation& seen, const DrainTimeOptions& options) {
  return seen.boot > Duration::zero() ? seen.boot : std::max(options.boot, Duration::zero());
}

double slots_of(const Observation& seen) {
  return std::max(1u, seen.slots_per_worker);
}

bool uses_forecast(const Demand& demand) {
  return demand.is_forecast && !demand.is_guess;
}

double leased_done(const Demand& demand, double span) {
  return std::min(demand.leased_seconds, static_cast<double>(demand.load.leased) * span);
}

// Work to be leased that it could have done in a second, over the wait that another one aims at: no more
// slots than these are taken from that one.
double wanted_within(const Demand& demand, double span) {
  const double queued = demand.is_stalled ? 0 : demand.queued_seconds;
  const double rate = uses_forecast(demand) ? demand.expected + demand.waiting_then / span
                                            : std::max(kHeadroom * demand.rate, queued / span);
  return std::min(rate, demand.tasks);
}

// Slots that its leased tasks keep for the whole of that wait: nobody takes them away.
double held_for(const Demand& demand, double boot, double span) {
  return std::min(static_cast<double>(demand.load.leased),
                  (demand.leased_seconds - leased_done(demand, boot)) / span);
}

// `slots` shared in turn: what is left for one load that could use them all, beside what the others would
// take within the wait that it aims at.
double slots_for(const std::vector<Demand>& demands, std::size_t one, double slots, double span) {
  if (demands.size() == 1) return slots;
  for (std::size_t i = 0; i < demands.size(); ++i) {
    if (i != one) slots = std::max(0.0, slots - held_for(demands[i], demands[one].ahead, span));
  }
  std::vector<std::pair<double, double>> others;  // what it wants, its turn; the soonest satisfied first
  for (std::size_t i = 0; i < demands.size(); ++i) {
    const double wanted = i == one ? 0 : wanted_within(demands[i], span);
    if (wanted > 0) others.emplace_back(wanted, demands[i].turn);
  }
  std::sort(others.begin(), others.end(),
            [](const auto& a, const auto& b) { return a.first * b.second < b.first * a.second; });
  for (std::size_t i = 0; i <= others.size(); ++i) {
    double turns = demands[one].turn;
    for (std::size_t j = i; j < others.size(); ++j) turns += others[j].second;
    const bool is_rest = i == others.size() || others[i].first > slots * others[i].second / turns;
    if (is_rest) return slots * demands[one].turn / turns;
    slots -= others[i].first;
  }
  return slots;
}

// The slots that others take while one load gets `own`: those that they keep, and their turns', no more of
// these than they have work for.
double taken_beside(const std::vector<Demand>& demands, std::size_t one, double own, double span) {
  double taken = 0;
  for (std::size_t i = 0; i < demands.size() && own > 0; ++i) {
    if (i == one) continue;
    taken += held_for(demands[i], demands[one].ahead, span) +
             std::min(wanted_within(demands[i], span), own * demands[i].turn / demands[one].turn);
  }
  return taken;
}

// Takes `done` off the works, shared in turn: who needs less than its share leaves the rest to others.
void work_off(std::vector<double>& works, const std::vector<Demand>& demands, double done) {
  if (works.size() == 1) {
    works[0] = std::max(0.0, works[0] - done);
    return;
  }
  std::vector<std::size_t> order(works.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return works[a] * demands[b].turn < works[b] * demands[a].turn;
  });
  std::vector<double> turns(order.size());  // of this one and all after it
  for (std::size_t i = order.size(); i-- > 0;)
    turns[i] = demands[order[i]].turn + (i + 1 < order.size() ? turns[i + 1] : 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    double& work = works[order[i]];
    const double share = std::min(work, done * demands[order[i]].turn / turns[i]);
    work -= share;
    done -= share;
  }
}

// What the fleet leaves undone `ahead` seconds from now, when work comes at the rates and workers that boot
// join in when they are expected. Of several loads, leased tasks keep their slots as long as they take.
std::vector<double> left_after(const Observation& seen, std::vector<double> works,
                               const std::vector<Demand>& demands, double ahead) {
  const double slots = slots_of(seen);
  std::vector<double> joins;
  joins.reserve(seen.booting_ready_at.size() + 1);
  for (const Instant ready_at : seen.booting_ready_at) {
    const double until = ready_at > seen.now ? in_seconds(ready_at - seen.now) : 0.0;
    if (until < ahead) joins.push_back(until);
  }
  std::sort(joins.begin(), joins.end());
  joins.push_back(ahead);
  double held = 0;
  for (const Demand& demand : demands) held += leased_done(demand, ahead) / ahead;
  if (works.size() == 1) works[0] += leased_done(demands[0], ahead);
  double capacity = seen.running * slots;
  double at = 0;
  for (const double join : joins) {
    if (works.size() == 1) {
      works[0] = std::max(0.0, works[0] + (demands[0].expected - capacity) * (join - at));
    } else if (join > at) {
      for (std::size_t i = 0; i < works.size(); ++i) works[i] += demands[i].expected * (join - at);
      work_off(works, demands, std::max(0.0, capacity - held) * (join - at));
    }
    capacity += slots;
    at = join;
  }
  return works;
}

// Sizes that only count: what is here fills slots, each task at most one.
void size_to_keep(Demand& demand) {
  const auto queued = static_cast<double>(demand.load.queued);
  const auto leased = static_cast<double>(demand.load.leased);
  const double waiting = demand.is_stalled ? 0 : std::min(queued, demand.queued_seconds / demand.aim);
  const double running = std::min(leased, demand.leased_seconds / demand.aim);
  const double arriving = std::min(leased + (demand.is_stalled ? 0 : queued), kHeadroom * demand.rate);
  demand.keep_slots = std::max(waiting + running, arriving);
  demand.grow_slots = demand.is_guess && !demand.is_stalled ? demand.keep_slots : arriving;
}

// What is left when a worker launched now comes up: what runs works on until then, what boots from when it
// is expected. So a queue that booting workers will see to is not counted again.
void size_to_grow(const Observation& seen, double boot, std::vector<Demand>& demands) {
  double capacity = seen.running * boot;
  for (const Instant ready_at : seen.booting_ready_at) {
    const double until = ready_at > seen.now ? in_seconds(ready_at - seen.now) : 0.0;
    capacity += std::max(0.0, boot - until);
  }
  double free = capacity * slots_of(seen);
  std::vector<double> left;
  for (const Demand& demand : demands) {
    free -= leased_done(demand, boot);
    left.push_back((demand.is_stalled ? 0 : demand.queued_seconds) + demand.rate * boot);
  }
  work_off(left, demands, std::max(0.0, free));
  for (std::size_t i = 0; i < demands.size(); ++i) {
    Demand& demand = demands[i];
    // Of a length that is guessed it is not known either what gets done meanwhile.
    if (uses_forecast(demand) || demand.is_stalled || demand.is_guess) continue;
    const auto queued = static_cast<double>(demand.load.queued);
    const auto leased = static_cast<double>(demand.load.leased);
    const double arriving = demand.rate * boot;
    const double mean =
        queued > 0 ? demand.queued_seconds / queued : demand.leased_seconds / std::max(1.0, leased);
    const double tasks = queued + (mean > 0 ? std::floor(arriving / mean) : 0.0);
    const double waiting = std::min(tasks, left[i] / demand.aim);
    const double running = std::min(leased, (demand.leased_seconds - leased_done(demand, boot)) / demand.aim);
    demand.grow_slots = std::max(demand.grow_slots, waiting + running);
  }
}

// Enough for what arrives, with a reserve, and for what will wait beyond what the fleet starts in time. A
// long task that still runs then keeps its slot.
void size_by_forecast(const Observation& seen, std::vector<Demand>& demands, std::size_t one) {
  Demand& demand = demands[one];
  const double target = demand.aim;
  const double fleet = static_cast<double>(seen.running + seen.booting_ready_at.size()) * slots_of(seen);
  const double its_slots = slots_for(demands, one, fleet, target);
  const double still_leased = held_for(demand, demand.ahead, target);
  const double excess = std::max(0.0, demand.waiting_then - demand.patience * target * its_slots);
  const double busy = demand.expected > 0 ? demand.expected + demand.reserve : 0;
  demand.grow_slots = demand.keep_slots =
      std::min(demand.tasks, std::max(busy, still_leased) + excess / target);
}

// As workers of the whole fleet.
void count_workers(const Observation& seen, const Tuning& tuning, std::vector<Demand>& demands,
                   std::size_t one) {
  Demand& demand = demands[one];
  const double slots = slots_of(seen);
  const bool is_forecast = uses_forecast(demand);
  // Others compute in all slots, and a fluid does not know that they end their tasks first.
  const bool is_shut_out = demands.size() > 1 && demand.load.queued > 0 && !demand.is_stalled &&
                           seen.running > 0 && seen.idle == 0 && 2 * demand.load.oldest_wait >= demand.target;
  if (is_shut_out) {
    demand.grow_slots = std::max(demand.grow_slots, 1.0);
    demand.keep_slots = std::max(demand.keep_slots, 1.0);
  }
  const std::uint32_t least = demand.load.queued + demand.load.leased > 0 ? 1 : 0;
  demand.beside = taken_beside(demands, one, demand.grow_slots, demand.aim);
  const double keep = demand.keep_slots + taken_beside(demands, one, demand.keep_slots, demand.aim);
  demand.grow = std::max(least, whole_workers((demand.grow_slots + demand.beside) / slots,
                                              is_forecast ? tuning.grow_from : kRoundUpFrom));
  demand.keep = std::max(least, whole_workers(keep / slots, is_forecast ? tuning.keep_from : kRoundUpFrom));
  if (is_forecast) demand.keep = std::max(demand.keep, demand.grow);
}

}  // namespace

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration of_seconds(double value) {
  return Duration(static_cast<Duration::rep>(std::min(value, kSecondsMax) * 1e9));
}

std::uint32_t whole_workers(double count, double round_up_from) {
  return static_cast<std::uint32_t>(std::clamp(std::ceil(count - round_up_from), 0.0, kWorkersMax));
}

bool is_slow(Duration boot, Duration target) {
  return kBootsWorth * boot >= target;
}

void share_out_work(const Observation& seen, const DrainTimeOptions& options, std::vector<Demand>& demands) {
  const double boot = in_seconds(boot_of(seen, options));
  const double ahead = boot + kReaction;
  std::vector<double> works;
  for (const Demand& demand : demands) {
    works.push_back(demand.is_stalled ? 0 : demand.queued_seconds);
  }
  if (std::any_of(demands.begin(), demands.end(), uses_forecast)) {
    const std::vector<double> left = left_after(seen, std::move(works), demands, ahead);
    for (std::size_t i = 0; i < demands.size(); ++i) demands[i].waiting_then = left[i];
  }
  bool is_counted = false;
  for (Demand& demand : demands) {
    if (uses_forecast(demand)) continue;
    size_to_keep(demand);
    is_counted = true;
  }
  if (is_counted) size_to_grow(seen, boot, demands);
  for (std::size_t i = 0; i < demands.size(); ++i) {
    if (uses_forecast(demands[i])) size_by_forecast(seen, demands, i);
  }
  for (std::size_t i = 0; i < demands.size(); ++i) count_workers(seen, options.tuning, demands, i);
}

LoadSizing::LoadSizing(const DrainTimeOptions& options)
    : options_(options), caution_(caution_options(options)) {}

// Idle workers beside a queue whose head does not move: they cannot take it (its kind or program is not
// theirs, or its queue is at its limit), and more like them could not either.
bool LoadSizing::is_stalled(const Observation& seen, const QueueLoad& load, Duration patience) {
  const Instant head = seen.now - load.oldest_wait;
  const bool is_passed_over = load.queued > 0 && seen.idle > 0;
  const bool is_same_head = head_ != kNoInstant && std::chrono::abs(head - head_) < milliseconds(1);
  if (!is_passed_over) {
    passed_over_ = kNoInstant;
  } else if (!is_same_head || passed_over_ == kNoInstant) {
    passed_over_ = seen.now;
  }
  head_ = head;
  return passed_over_ != kNoInstant && seen.now - passed_over_ >= patience;
}

// How long what is not needed is kept. A worker that is let go costs a boot when it is wanted again, so where
// boots are long it is kept for about as long as that takes, and for longer where tasks were late.
Duration LoadSizing::hold_for(Duration target) const {
  const Tuning& tuning = options_.tuning;
  if (!is_slow(boot_, target)) return std::max<Duration>(options_.idle_hold, boot_);
  // Where tasks are long their number tells less of the load, and it takes longer to tell.
  const double base = std::max(tuning.hold_s, kTasksSeen * arrivals_.task_seconds());
  const double most = std::min(kHoldMax, kHoldBootsMax * in_seconds(boot_));
  const double hold = std::min(base * std::pow(tuning.hold_growth, caution_.level()), most);
  return std::max(options_.idle_hold, of_seconds(std::max(hold, tuning.hold_boots_min * in_seconds(boot_))));
}

void LoadSizing::learn(const Observation& seen, const QueueLoad& load, Duration target, double late_share,
                       double pace) {
  const double rate = std::min(positive(load.arrival_seconds), kSecondsMax);
  arrivals_.observe(seen.now, rate * (is_slow(boot_, target) ? pace : 1), load.started + load.queued);
  Bounds own;
  own.target_wait = target;
  own.late_share = late_share;
  caution_.observe(seen.now, load.started, load.queued, load.oldest_wait, own, boot_ + of_seconds(kReaction));
  if (busy_at_ == kNoInstant || load.queued + load.leased > 0) busy_at_ = seen.now;
}

// While no worker is up, or an idle one is about to take it, the oldest's wait tells nothing of its length.
void LoadSizing::measure_queue(const Observation& seen, Demand& demand) const {
  const QueueLoad& load = demand.load;
  const Duration target = demand.target;
  const Duration wait = seen.running > 0 && seen.idle == 0 ? load.oldest_wait : Duration::zero();
  if (load.queued > 0 && demand.queued_seconds <= 0) {
    demand.is_guess = true;
    const Duration each = std::clamp<Duration>(wait, target / kTargetParts, target);
    demand.queued_seconds = static_cast<double>(load.queued) * in_seconds(each);
  } else if (wait > (demand.is_forecast ? 3 : 1) * (target + boot_)) {
    // Longer than a boot explains: the learned speed is wrong, and nothing has finished that would teach it.
    demand.late = in_seconds(wait) / in_seconds(target + boot_);
    demand.queued_seconds *= demand.late;
  }
  if (load.leased > 0 && demand.leased_seconds <= 0)
    demand.leased_seconds = static_cast<double>(load.leased) * in_seconds(target);
}

void LoadSizing::foresee(Demand& demand) const {
  const Tuning& tuning = options_.tuning;
  const double target = in_seconds(demand.target);
  const double level = caution_.level();
  const double mean = arrivals_.task_seconds();
  demand.expected = demand.is_stalled ? 0 : arrivals_.expected(demand.ahead, tuning.trend_share);
  demand.reserve = std::min(mean / target * std::max(0.0, tuning.reserve + tuning.reserve_caution * level),
                            std::max(0.5, tuning.reserve_share * demand.expected));
  demand.patience = std::clamp(tuning.wait_share - tuning.wait_caution * level, 0.05, 0.95);
  demand.aim = target;
  demand.tasks += mean > 0 ? std::floor(demand.expected * demand.ahead / mean) : 0.0;
}

Demand LoadSizing::measure(const Observation& seen, const QueueLoad& load, const QueueObjective& objective,
                           double late_share, double pace) {
  Demand demand;
  boot_ = boot_of(seen, options_);
  demand.load = load;
  demand.target = std::max(objective.target_wait, Duration(milliseconds(1)));
  demand.is_forecast = is_slow(boot_, demand.target);
  learn(seen, load, demand.target, late_share, pace);
  hold_ = hold_for(demand.target);
  demand.aim =
      in_seconds(std::clamp<Duration>(kBootsWorth * boot_, demand.target / kTargetParts, demand.target));
  demand.ahead = in_seconds(boot_) + (demand.is_forecast ? kReaction : 0);
  demand.is_stalled = is_stalled(seen, load, hold_);
  demand.queued_seconds = std::min(positive(load.queued_seconds), kSecondsMax);
  demand.leased_seconds = std::min(positive(load.leased_seconds), kSecondsMax);
  if (demand.is_forecast) {
    demand.queued_seconds *= pace;
    demand.leased_seconds *= pace;
  }
  demand.rate = arrivals_.lasting();
  measure_queue(seen, demand);
  demand.tasks =
      static_cast<double>(load.leased) + (demand.is_stalled ? 0 : static_cast<double>(load.queued));
  if (uses_forecast(demand)) foresee(demand);
  double mean = arrivals_.task_seconds();
  if (load.queued > 0) {
    mean = demand.queued_seconds / static_cast<double>(load.queued);
  } else if (mean <= 0 && load.leased > 0) {
    mean = demand.leased_seconds / static_cast<double>(load.leased);
  }
  demand.turn = std::max(kTaskLeast, mean) * objective.weight * std::max(1u, load.queues);
  return demand;
}

}  // namespace skep::scaler
