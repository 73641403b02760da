// SPDX-License-Identifier: Apache-2.0
#include "scaler/policy.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "scaler/cost_ledger.h"
#include "scaler/load_sizing.h"
#include "scaler/pace.h"

namespace skep::scaler {
namespace {

constexpr double kWorkersMax = 1e6;  // these two keep numbers within their types
constexpr double kSecondsMax = 1e9;
// A month's budget has to last for so long when it is about to end: what drains costs too.
constexpr double kMonthAheadHours = 5.0 / 60;

double positive(double value) {
  return std::isfinite(value) ? std::max(0.0, value) : 0.0;
}

std::string number_of(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// One load as it is sized in a decision.
struct Sized {
  LoadSizing* sizing = nullptr;
  std::uint32_t need = 0;
  std::uint32_t desired = 0;
};

class DrainTimePolicy final : public Policy {
 public:
  explicit DrainTimePolicy(DrainTimeOptions options) : options_(options) {}

  Decision decide(const Observation& seen, const Bounds& bounds) override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<DrainTimePolicy>(*this); }
  void forget() override { *this = DrainTimePolicy(options_); }

 private:
  std::vector<Demand> measure(const Observation& seen, const Bounds& bounds, std::vector<Sized>& sized);
  double learn_pace(const Observation& seen);
  std::string cap(const Observation& seen, const Bounds& bounds, std::uint32_t desired, Decision& decision);
  std::string pace_launches(const Observation& seen, const Bounds& bounds, std::uint32_t& wanted);

  DrainTimeOptions options_;
  std::map<std::string, LoadSizing> sizings_;  // by queue; "": all that have no objective
  Pace pace_;
  std::deque<std::pair<Instant, std::uint32_t>> launches_;  // of the last minute
  std::uint32_t wanted_ = 0;
  bool has_decided_ = false;
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

std::string work_in_words(const Demand& demand) {
  const QueueLoad& load = demand.load;
  std::string text;
  if (load.queued > 0) {
    text = number_of(load.queued, "task") + (load.queued == 1 ? " waits (" : " wait (");
    text += demand.is_guess ? "of unknown length, counted as " : "about ";
    text += describe_duration(of_seconds(demand.queued_seconds)) + " of one slot";
    if (demand.late > 1)
      text += ", doubted because the oldest waits for " + describe_duration(load.oldest_wait);
    text += ")";
  }
  if (load.leased > 0) {
    text += (text.empty() ? "" : " and ") + number_of(load.leased, "task") +
            (load.leased == 1 ? " is leased (about " : " are leased (about ") +
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

// Which queue decides, where several have objectives.
std::string queue_in_words(const Demand& demand) {
  const std::string wait = " (" + describe_duration(demand.target) + "): ";
  if (demand.load.queue.empty()) return "the queues without an objective of their own decide" + wait;
  return "queue '" + demand.load.queue + "' decides" + wait;
}

// What other queues take of the slots meanwhile; "" where they take next to nothing.
std::string others_in_words(const Demand& demand) {
  const double all = demand.grow_slots + demand.beside;
  if (all <= 0 || demand.beside < 0.01 * all) return {};
  char share[16];
  std::snprintf(share, sizeof share, "%.0f", 100 * demand.beside / all);
  return std::string(", while other queues take ") + share + " % of their time";
}

std::string words(const Observation& seen, const Demand& demand, const LoadSizing& sizing, std::uint32_t need,
                  std::uint32_t desired) {
  const QueueLoad& load = demand.load;
  std::string text = work_in_words(demand);
  const bool is_empty = load.queued + load.leased == 0;
  const double rate = demand.is_forecast ? demand.expected : demand.rate;
  if (rate >= 0.01 && !is_empty) {
    text += ", about " + describe_duration(of_seconds(rate)) + " of work arrives each second";
    if (demand.is_forecast && demand.waiting_then >= 1) {
      text += ", in " + describe_duration(of_seconds(demand.ahead)) + " " +
              describe_duration(of_seconds(demand.waiting_then)) + " would be left";
    }
  }
  if (is_empty) text += " since " + describe_duration(seen.now - sizing.busy_at());
  if (demand.is_stalled) {
    text += ", yet " + number_of(seen.idle, "idle worker") + (seen.idle == 1 ? " leaves" : " leave") +
            " the oldest since " + describe_duration(seen.now - sizing.passed_over()) +
            ", so more would not help";
  }
  if (desired > need) {
    const Duration since = seen.now - sizing.needs().greatest_at();
    return text + ": " + number_of(need, "worker") + " would do, " + std::to_string(desired) +
           (desired == 1 ? " stays" : " stay") + " until that is so for " + describe_duration(sizing.hold()) +
           " (" + describe_duration(since) + " so far)";
  }
  if (desired == 0) return text + ": no worker is needed";
  text += ": " + number_of(desired, "worker");
  if (demand.is_stalled) return text + (desired == 1 ? " is enough" : " are enough");
  text += (desired == 1 ? " starts" : " start") + std::string(" that within ") +
          describe_duration(of_seconds(demand.aim)) + others_in_words(demand);
  return demand.is_forecast && rate >= 0.01 ? text + caution_in_words(sizing.caution()) : text;
}

double DrainTimePolicy::learn_pace(const Observation& seen) {
  const double rate = std::min(positive(seen.arrival_seconds), kSecondsMax);
  const double left = std::min(positive(seen.queued_seconds) + positive(seen.leased_seconds), kSecondsMax);
  const double slots = static_cast<double>(seen.running) * std::max(1u, seen.slots_per_worker);
  pace_.observe(seen.now, rate, left, std::min(static_cast<double>(seen.leased), slots));
  return pace_.factor();
}

QueueLoad load_of(const Observation& seen, const std::string& queue) {
  for (const QueueLoad& load : seen.loads) {
    if (load.queue == queue) return load;
  }
  QueueLoad load;
  load.queue = queue;
  if (!seen.loads.empty() || !queue.empty()) return load;
  load.queued = seen.queued;
  load.leased = seen.leased;
  load.queued_seconds = seen.queued_seconds;
  load.leased_seconds = seen.leased_seconds;
  load.arrival_seconds = seen.arrival_seconds;
  load.oldest_wait = seen.oldest_wait;
  load.started = seen.started;
  return load;
}

// Of each queue with an objective, and of the rest.
std::vector<Demand> DrainTimePolicy::measure(const Observation& seen, const Bounds& bounds,
                                             std::vector<Sized>& sized) {
  std::vector<QueueObjective> objectives = bounds.objectives;
  objectives.push_back({"", bounds.target_wait, 1});
  // Siblings with other objectives come and go.
  if (sizings_.size() > objectives.size() + kObjectivesMax) {
    std::erase_if(sizings_, [&](const auto& entry) {
      return std::none_of(objectives.begin(), objectives.end(),
                          [&](const QueueObjective& one) { return one.queue == entry.first; });
    });
  }
  const double pace = learn_pace(seen);
  const auto fleet = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
  std::vector<Demand> demands;
  for (const QueueObjective& objective : objectives) {
    LoadSizing& sizing = sizings_.try_emplace(objective.queue, options_).first->second;
    demands.push_back(
        sizing.measure(seen, load_of(seen, objective.queue), objective, bounds.late_share, pace));
    sized.push_back({&sizing});
    // A fleet that was there before the first decision had its reasons, so it too goes only after the hold.
    if (!has_decided_) sizing.needs().push(seen.now, fleet);
  }
  share_out_work(seen, options_, demands);
  for (std::size_t i = 0; i < demands.size(); ++i) {
    Sized& one = sized[i];
    one.need = std::max(demands[i].grow, std::min(demands[i].keep, fleet));
    WindowMax& needs = one.sizing->needs();
    needs.push(seen.now, one.need);
    // The past only keeps what there is; it starts nothing.
    one.desired = std::max(one.need, std::min(needs.since(seen.now - one.sizing->hold()), fleet));
  }
  return demands;
}

Decision DrainTimePolicy::decide(const Observation& seen, const Bounds& bounds) {
  const auto fleet = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
  if (!has_decided_) wanted_ = fleet;
  std::vector<Sized> sized;
  const std::vector<Demand> demands = measure(seen, bounds, sized);
  has_decided_ = true;
  // The worst decides; of those that want as many, the one that needs them now, then the one busy last.
  const auto rank = [](const Sized& one) { return std::tuple(one.desired, one.need, one.sizing->busy_at()); };
  std::size_t worst = sized.size() - 1;
  for (std::size_t i = 0; i < sized.size(); ++i) {
    if (rank(sized[i]) > rank(sized[worst])) worst = i;
  }
  const Sized& one = sized[worst];
  Decision decision;
  decision.reason = words(seen, demands[worst], *one.sizing, one.need, one.desired);
  if (sized.size() > 1 && one.desired > 0) decision.reason = queue_in_words(demands[worst]) + decision.reason;
  decision.reason = order_in_words(seen.order, seen.now, fleet, one.desired) + decision.reason;
  decision.reason += cap(seen, bounds, under_order(seen, one.desired), decision);
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

}  // namespace

std::unique_ptr<Policy> make_drain_time_policy(DrainTimeOptions options) {
  return std::make_unique<DrainTimePolicy>(options);
}

}  // namespace skep::scaler
