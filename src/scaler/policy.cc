// SPDX-License-Identifier: Apache-2.0
#include "scaler/policy.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <utility>
#include <vector>

#include "scaler/arrivals.h"
#include "scaler/caution.h"
#include "scaler/cost_ledger.h"
#include "scaler/pace.h"

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
constexpr double kWorkersMax = 1e6;    // these two keep numbers within their types
constexpr double kSecondsMax = 1e9;
// A month's budget has to last for so long when it is about to end: what drains costs too.
constexpr double kMonthAheadHours = 5.0 / 60;

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration of_seconds(double value) {
  return Duration(static_cast<Duration::rep>(std::min(value, kSecondsMax) * 1e9));
}

double positive(double value) {
  return std::isfinite(value) ? std::max(0.0, value) : 0.0;
}

std::uint32_t whole_workers(double count, double round_up_from = kRoundUpFrom) {
  return static_cast<std::uint32_t>(std::clamp(std::ceil(count - round_up_from), 0.0, kWorkersMax));
}

// Whether a worker called when work waits comes too late.
bool is_slow(Duration boot, const Bounds& bounds) {
  return kBootsWorth * boot >= bounds.target_wait;
}

std::string number_of(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// The greatest of the values pushed within a window that ends now.
class WindowMax {
 public:
  void push(Instant at, std::uint32_t value) {
    while (!falling_.empty() && falling_.back().second <= value) falling_.pop_back();
    falling_.emplace_back(at, value);
  }
  std::uint32_t since(Instant from) {
    while (falling_.size() > 1 && falling_.front().first < from) falling_.pop_front();
    return falling_.empty() ? 0 : falling_.front().second;
  }
  // When the greatest was last seen.
  Instant greatest_at() const { return falling_.empty() ? kNoInstant : falling_.front().first; }

 private:
  std::deque<std::pair<Instant, std::uint32_t>> falling_;  // each smaller and later than the one before
};

// An observation in the quantities that sizes are made of. Slots are those that work fills until the wait
// aimed at has passed.
struct Demand {
  double boot = 0;
  double aim = 0;
  double queued_seconds = 0;
  double leased_seconds = 0;
  double rate = 0;
  double late = 1;  // how many times over the oldest wait passes what a boot explains
  bool is_guess = false;
  bool is_stalled = false;

  std::uint32_t keep = 0;  // would do if all were up
  std::uint32_t grow = 0;  // needed by when a worker launched now would be up

  // Where boots are long: what is forecast for when a worker launched now could help.
  bool is_forecast = false;
  double ahead = 0;     // seconds until then
  double expected = 0;  // work that arrives each second, until then
  double waiting_then =
      0;  // what then waits or is being done beyond what the fleet does, in seconds of one slot
};

class DrainTimePolicy final : public Policy {
 public:
  explicit DrainTimePolicy(DrainTimeOptions options)
      : options_(options), caution_(caution_options(options)) {}

  Decision decide(const Observation& seen, const Bounds& bounds) override;
  void forget() override { *this = DrainTimePolicy(options_); }

 private:
  static CautionOptions caution_options(const DrainTimeOptions& options) {
    CautionOptions caution;
    caution.first = options.tuning.caution_first;
    caution.unproved = options.tuning.caution_unproved;
    return caution;
  }
  Demand measure(const Observation& seen, const Bounds& bounds);
  void measure_queue(const Observation& seen, Duration target, Demand& demand) const;
  void size_by_forecast(const Observation& seen, const Bounds& bounds, Demand& demand) const;
  bool is_stalled(const Observation& seen, Duration patience);
  void learn(const Observation& seen, const Bounds& bounds);
  std::string cap(const Observation& seen, const Bounds& bounds, std::uint32_t desired, Decision& decision);
  std::string pace_launches(const Observation& seen, const Bounds& bounds, std::uint32_t& wanted);
  std::string words(const Observation& seen, const Demand& demand, std::uint32_t need, std::uint32_t desired,
                    Duration hold) const;
  Duration boot_of(const Observation& seen) const {
    return seen.boot > Duration::zero() ? seen.boot : std::max(options_.boot, Duration::zero());
  }
  Duration hold_of(const Observation& seen, const Bounds& bounds) const;

  DrainTimeOptions options_;
  WindowMax needs_;
  Arrivals arrivals_;
  Pace pace_;
  Caution caution_;
  std::deque<std::pair<Instant, std::uint32_t>> launches_;  // of the last minute
  std::uint32_t wanted_ = 0;
  bool has_decided_ = false;
  Instant busy_at_ = kNoInstant;      // when something was last queued or leased
  Instant head_ = kNoInstant;         // when the oldest queued task was queued
  Instant passed_over_ = kNoInstant;  // since when idle workers leave it there
};

// What is wanted in the place of `desired`, where a person ordered something.
std::uint32_t under_order(const Observation& seen, std::uint32_t desired) {
  if (!seen.order.holds_at(seen.now)) return desired;
  if (seen.order.kind == FleetOrderKind::kSize) return seen.order.workers;
  return static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
}

// What comes before the policy's own words then.
std::string order_in_words(const FleetOrder& order, Instant now, std::uint32_t fleet, std::uint32_t desired) {
  if (!order.holds_at(now)) return {};
  const std::string until = " until " + format_instant(order.until) + ", by itself it would be " +
                            std::to_string(desired) + " because ";
  if (order.kind == FleetOrderKind::kPause)
    return "scaling is paused at " + number_of(fleet, "worker") + until;
  return number_of(order.workers, "worker") + (order.workers == 1 ? " is ordered" : " are ordered") + until;
}

// Sizes that only count: what is here fills slots, each task at most one.
void size_to_keep(const Observation& seen, Demand& demand) {
  const auto queued = static_cast<double>(seen.queued);
  const auto leased = static_cast<double>(seen.leased);
  const double slots = std::max(1u, seen.slots_per_worker);
  const double waiting = demand.is_stalled ? 0 : std::min(queued, demand.queued_seconds / demand.aim);
  const double running = std::min(leased, demand.leased_seconds / demand.aim);
  const double arriving = std::min(leased + (demand.is_stalled ? 0 : queued), kHeadroom * demand.rate);
  demand.keep = whole_workers(std::max(waiting + running, arriving) / slots);
  demand.grow = whole_workers(arriving / slots);
  if (seen.queued + seen.leased > 0) {
    demand.keep = std::max(demand.keep, 1u);
    demand.grow = std::max(demand.grow, 1u);
  }
}

// What is left when a worker launched now comes up: what runs works on until then, what boots from when it
// is expected. So a queue that booting workers will see to is not counted again.
void size_to_grow(const Observation& seen, Demand& demand) {
  if (demand.is_stalled) return;
  if (demand.is_guess) {  // nor is it known what gets done meanwhile
    demand.grow = demand.keep;
    return;
  }
  const auto queued = static_cast<double>(seen.queued);
  const auto leased = static_cast<double>(seen.leased);
  const double slots = std::max(1u, seen.slots_per_worker);
  double capacity = seen.running * demand.boot;
  for (const Instant ready_at : seen.booting_ready_at) {
    const double until = ready_at > seen.now ? in_seconds(ready_at - seen.now) : 0.0;
    capacity += std::max(0.0, demand.boot - until);
  }
  const double arriving = demand.rate * demand.boot;
  const double leased_done = std::min(demand.leased_seconds, leased * demand.boot);
  const double free = std::max(0.0, capacity * slots - leased_done);
  const double queued_left = std::max(0.0, demand.queued_seconds + arriving - free);

  const double mean =
      queued > 0 ? demand.queued_seconds / queued : demand.leased_seconds / std::max(1.0, leased);
  const double tasks = queued + (mean > 0 ? std::floor(arriving / mean) : 0.0);
  const double waiting = std::min(tasks, queued_left / demand.aim);
  const double running = std::min(leased, (demand.leased_seconds - leased_done) / demand.aim);
  demand.grow = std::max(demand.grow, whole_workers((waiting + running) / slots));
}

// What the fleet leaves undone `ahead` seconds from now, when work comes at `rate` and workers that boot join
// in when they are expected.
double left_after(const Observation& seen, double work, double rate, double ahead) {
  const double slots = std::max(1u, seen.slots_per_worker);
  std::vector<double> joins;
  joins.reserve(seen.booting_ready_at.size() + 1);
  for (const Instant ready_at : seen.booting_ready_at) {
    const double until = ready_at > seen.now ? in_seconds(ready_at - seen.now) : 0.0;
    if (until < ahead) joins.push_back(until);
  }
  std::sort(joins.begin(), joins.end());
  joins.push_back(ahead);
  double capacity = seen.running * slots;
  double at = 0;
  for (const double join : joins) {
    work = std::max(0.0, work + (rate - capacity) * (join - at));
    capacity += slots;
    at = join;
  }
  return work;
}

// Enough for what arrives, with a reserve, and for what will wait beyond what the fleet starts in time. A
// long task that still runs then keeps its slot.
void DrainTimePolicy::size_by_forecast(const Observation& seen, const Bounds& bounds, Demand& demand) const {
  const Tuning& tuning = options_.tuning;
  const double target = in_seconds(std::max(bounds.target_wait, Duration(milliseconds(1))));
  const double slots = std::max(1u, seen.slots_per_worker);
  const double fleet = static_cast<double>(seen.running + seen.booting_ready_at.size());
  const auto leased = static_cast<double>(seen.leased);
  const double level = caution_.level();
  demand.ahead = demand.boot + kReaction;
  demand.expected = demand.is_stalled ? 0 : arrivals_.expected(demand.ahead, tuning.trend_share);
  const double reserve = std::min(
      arrivals_.task_seconds() / target * std::max(0.0, tuning.reserve + tuning.reserve_caution * level),
      std::max(0.5, tuning.reserve_share * demand.expected));

  const double done = std::min(demand.leased_seconds, leased * demand.ahead);
  const double still_leased = std::min(leased, (demand.leased_seconds - done) / target);
  const double queued = demand.is_stalled ? 0 : demand.queued_seconds;
  demand.waiting_then = left_after(seen, queued + done, demand.expected, demand.ahead);
  const double patience = std::clamp(tuning.wait_share - tuning.wait_caution * level, 0.05, 0.95);
  const double excess = std::max(0.0, demand.waiting_then - patience * target * fleet * slots);
  const double busy = demand.expected > 0 ? demand.expected + reserve : 0;

  const double mean = arrivals_.task_seconds();
  const double coming = mean > 0 ? std::floor(demand.expected * demand.ahead / mean) : 0.0;
  const double tasks = leased + coming + (demand.is_stalled ? 0 : static_cast<double>(seen.queued));
  const double size = std::min(tasks, std::max(busy, still_leased) + excess / target) / slots;
  const std::uint32_t least = seen.queued + seen.leased > 0 ? 1 : 0;
  demand.grow = std::max(least, whole_workers(size, tuning.grow_from));
  demand.keep = std::max(demand.grow, whole_workers(size, tuning.keep_from));
}

// Idle workers beside a queue whose head does not move: they cannot take it (its kind or program is not
// theirs, or its queue is at its limit), and more like them could not either.
bool DrainTimePolicy::is_stalled(const Observation& seen, Duration patience) {
  const Instant head = seen.now - seen.oldest_wait;
  const bool is_passed_over = seen.queued > 0 && seen.idle > 0;
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
Duration DrainTimePolicy::hold_of(const Observation& seen, const Bounds& bounds) const {
  const Tuning& tuning = options_.tuning;
  const Duration boot = boot_of(seen);
  if (!is_slow(boot, bounds)) return std::max<Duration>(options_.idle_hold, boot);
  // Where tasks are long their number tells less of the load, and it takes longer to tell.
  const double base = std::max(tuning.hold_s, kTasksSeen * arrivals_.task_seconds());
  const double most = std::min(kHoldMax, kHoldBootsMax * in_seconds(boot));
  const double hold = std::min(base * std::pow(tuning.hold_growth, caution_.level()), most);
  return std::max(options_.idle_hold, of_seconds(std::max(hold, tuning.hold_boots_min * in_seconds(boot))));
}

void DrainTimePolicy::learn(const Observation& seen, const Bounds& bounds) {
  const double rate = std::min(positive(seen.arrival_seconds), kSecondsMax);
  const double left = std::min(positive(seen.queued_seconds) + positive(seen.leased_seconds), kSecondsMax);
  const double slots = static_cast<double>(seen.running) * std::max(1u, seen.slots_per_worker);
  pace_.observe(seen.now, rate, left, std::min(static_cast<double>(seen.leased), slots));
  const double pace = is_slow(boot_of(seen), bounds) ? pace_.factor() : 1;
  arrivals_.observe(seen.now, rate * pace, seen.started + seen.queued);
  const Duration ahead = boot_of(seen) + of_seconds(kReaction);
  caution_.observe(seen.now, seen.started, seen.queued, seen.oldest_wait, bounds, ahead);
}

// While no worker is up, or an idle one is about to take it, the oldest's wait tells nothing of its length.
void DrainTimePolicy::measure_queue(const Observation& seen, Duration target, Demand& demand) const {
  const Duration boot = boot_of(seen);
  const Duration wait = seen.running > 0 && seen.idle == 0 ? seen.oldest_wait : Duration::zero();
  if (seen.queued > 0 && demand.queued_seconds <= 0) {
    demand.is_guess = true;
    const Duration each = std::clamp<Duration>(wait, target / kTargetParts, target);
    demand.queued_seconds = static_cast<double>(seen.queued) * in_seconds(each);
  } else if (wait > (demand.is_forecast ? 3 : 1) * (target + boot)) {
    // Longer than a boot explains: the learned speed is wrong, and nothing has finished that would teach it.
    demand.late = in_seconds(wait) / in_seconds(target + boot);
    demand.queued_seconds *= demand.late;
  }
  if (seen.leased > 0 && demand.leased_seconds <= 0)
    demand.leased_seconds = static_cast<double>(seen.leased) * in_seconds(target);
}

Demand DrainTimePolicy::measure(const Observation& seen, const Bounds& bounds) {
  Demand demand;
  const Duration boot = boot_of(seen);
  const Duration target = std::max(bounds.target_wait, Duration(milliseconds(1)));
  demand.boot = in_seconds(boot);
  demand.aim = in_seconds(std::clamp<Duration>(kBootsWorth * boot, target / kTargetParts, target));
  demand.is_forecast = is_slow(boot, bounds);
  demand.is_stalled = is_stalled(seen, hold_of(seen, bounds));
  demand.queued_seconds = std::min(positive(seen.queued_seconds), kSecondsMax);
  demand.leased_seconds = std::min(positive(seen.leased_seconds), kSecondsMax);
  if (demand.is_forecast) {
    demand.queued_seconds *= pace_.factor();
    demand.leased_seconds *= pace_.factor();
  }
  demand.rate = arrivals_.lasting();
  measure_queue(seen, target, demand);
  if (demand.is_forecast && !demand.is_guess) {
    size_by_forecast(seen, bounds, demand);
  } else {
    size_to_keep(seen, demand);
    size_to_grow(seen, demand);
  }
  return demand;
}

Decision DrainTimePolicy::decide(const Observation& seen, const Bounds& bounds) {
  learn(seen, bounds);
  const Demand demand = measure(seen, bounds);
  const auto fleet = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
  // A fleet that was there before the first decision had its reasons, so it too goes only after the hold.
  if (!has_decided_) {
    needs_.push(seen.now, fleet);
    busy_at_ = seen.now;
    wanted_ = fleet;
  }
  has_decided_ = true;
  if (seen.queued + seen.leased > 0) busy_at_ = seen.now;

  const Duration hold = hold_of(seen, bounds);
  const std::uint32_t need = std::max(demand.grow, std::min(demand.keep, fleet));
  needs_.push(seen.now, need);
  // The past only keeps what there is; it starts nothing.
  const std::uint32_t desired = std::max(need, std::min(needs_.since(seen.now - hold), fleet));

  Decision decision;
  decision.reason = words(seen, demand, need, desired, hold);
  decision.reason = order_in_words(seen.order, seen.now, fleet, desired) + decision.reason;
  decision.reason += cap(seen, bounds, under_order(seen, desired), decision);
  wanted_ = decision.wanted;
  return decision;
}

// How many workers `money` pays for `hours`.
std::uint32_t paid_for(double money, double price_hour, double hours) {
  return static_cast<std::uint32_t>(
      std::clamp(std::floor(money / (price_hour * hours) + 1e-9), 0.0, kWorkersMax));
}

// The limits that people set, last: the tightest is named.
std::string DrainTimePolicy::cap(const Observation& seen, const Bounds& bounds, std::uint32_t desired,
                                 Decision& decision) {
  std::string text;
  std::uint32_t& wanted = decision.wanted;
  // An order may go below the minimum: who gives it says how many.
  const std::uint32_t least = seen.order.holds_at(seen.now) ? 0 : bounds.workers_min;
  wanted = std::max(desired, least);
  if (desired < least && least <= bounds.workers_max) text = "; the minimum is " + std::to_string(least);
  decision.most = bounds.workers_max;
  if (wanted > bounds.workers_max) text = "; the maximum is " + std::to_string(bounds.workers_max);
  if (bounds.cost_hour_max > 0 && bounds.price_hour > 0) {
    const std::uint32_t paid = paid_for(bounds.cost_hour_max, bounds.price_hour, 1);
    if (wanted > paid && paid < decision.most) text = "; the budget an hour pays for " + std::to_string(paid);
    decision.most = std::min(decision.most, paid);
  }
  if (bounds.cost_month_max > 0 && bounds.price_hour > 0) {
    const double left = std::max(0.0, bounds.cost_month_max - seen.spent_month);
    const std::uint32_t paid = paid_for(left, bounds.price_hour, kMonthAheadHours);
    if (wanted > paid && paid < decision.most) {
      text = "; the budget of the month, " + describe_money(bounds.cost_month_max) + ", has " +
             describe_money(left) + " left, which pays for " + std::to_string(paid);
    }
    decision.most = std::min(decision.most, paid);
  }
  wanted = std::min(wanted, decision.most);
  return text + pace_launches(seen, bounds, wanted);
}

std::string DrainTimePolicy::pace_launches(const Observation& seen, const Bounds& bounds,
                                           std::uint32_t& wanted) {
  const auto fleet = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
  const std::uint32_t there = std::max(fleet, wanted_);
  while (!launches_.empty() && launches_.front().first <= seen.now - minutes(1)) launches_.pop_front();
  if (wanted <= there || bounds.launches_minute_max == 0) return {};
  std::string text;
  std::uint32_t made = 0;
  for (const auto& [at, count] : launches_) made += count;
  const std::uint32_t more = bounds.launches_minute_max - std::min(made, bounds.launches_minute_max);
  if (wanted > there + more) {
    wanted = there + more;
    text = "; no more than " + std::to_string(bounds.launches_minute_max) + " are launched a minute";
  }
  if (wanted > there) launches_.emplace_back(seen.now, wanted - there);
  return text;
}

std::string work_in_words(const Observation& seen, const Demand& demand) {
  std::string text;
  if (seen.queued > 0) {
    text = number_of(seen.queued, "task") + (seen.queued == 1 ? " waits (" : " wait (");
    text += demand.is_guess ? "of unknown length, counted as " : "about ";
    text += describe_duration(of_seconds(demand.queued_seconds)) + " of one slot";
    if (demand.late > 1)
      text += ", doubted because the oldest waits for " + describe_duration(seen.oldest_wait);
    text += ")";
  }
  if (seen.leased > 0) {
    text += (text.empty() ? "" : " and ") + number_of(seen.leased, "task") +
            (seen.leased == 1 ? " is leased (about " : " are leased (about ") +
            describe_duration(of_seconds(demand.leased_seconds)) + ")";
  }
  if (text.empty()) text = "nothing waits or is leased";
  return text;
}

// Why more is held ready than the forecast asks for; "" where nothing is.
std::string caution_in_words(const Caution& caution) {
  if (caution.level() <= 0) return {};
  char share[16];
  std::snprintf(share, sizeof share, "%.1f", 100 * caution.late_share());
  if (caution.late_share() > 0)
    return std::string(", with care because ") + share + " % of the last tasks were late";
  if (caution.is_unproved()) return ", with care because one more burst could make too many late";
  return ", with care until more tasks have started in time";
}

std::string DrainTimePolicy::words(const Observation& seen, const Demand& demand, std::uint32_t need,
                                   std::uint32_t desired, Duration hold) const {
  std::string text = work_in_words(seen, demand);
  const bool is_empty = seen.queued + seen.leased == 0;
  const double rate = demand.is_forecast ? demand.expected : demand.rate;
  if (rate >= 0.01 && !is_empty) {
    text += ", about " + describe_duration(of_seconds(rate)) + " of work arrives each second";
    if (demand.is_forecast && demand.waiting_then >= 1) {
      text += ", in " + describe_duration(of_seconds(demand.ahead)) + " " +
              describe_duration(of_seconds(demand.waiting_then)) + " would be left";
    }
  }
  if (is_empty) text += " since " + describe_duration(seen.now - busy_at_);
  if (demand.is_stalled) {
    text += ", yet " + number_of(seen.idle, "idle worker") + (seen.idle == 1 ? " leaves" : " leave") +
            " the oldest since " + describe_duration(seen.now - passed_over_) + ", so more would not help";
  }
  if (desired > need) {
    const Duration since = seen.now - needs_.greatest_at();
    return text + ": " + number_of(need, "worker") + " would do, " + std::to_string(desired) +
           (desired == 1 ? " stays" : " stay") + " until that is so for " + describe_duration(hold) + " (" +
           describe_duration(since) + " so far)";
  }
  if (desired == 0) return text + ": no worker is needed";
  text += ": " + number_of(desired, "worker");
  if (demand.is_stalled) return text + (desired == 1 ? " is enough" : " are enough");
  text += (desired == 1 ? " starts" : " start") + std::string(" that within ") +
          describe_duration(of_seconds(demand.aim));
  return demand.is_forecast && rate >= 0.01 ? text + caution_in_words(caution_) : text;
}

}  // namespace

std::unique_ptr<Policy> make_drain_time_policy(DrainTimeOptions options) {
  return std::make_unique<DrainTimePolicy>(options);
}

}  // namespace skep::scaler
