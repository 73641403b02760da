// SPDX-License-Identifier: Apache-2.0
#include "scaler/policy.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

namespace skep::scaler {
namespace {

constexpr double kHeadroom = 1.1;  // workers for what arrives: 1.1 times what it would keep busy
constexpr Duration kArrivalMemory = seconds(60);  // a rate counts in full once it has lasted about so long
constexpr int kBootsWorth = 4;                    // a worker pays if it saves so many boots of waiting
constexpr int kTargetParts = 8;                   // the shortest wait aimed at is this part of the target
constexpr int kHoldFactorMax = 8;                 // unneeded workers are kept for at most so many holds
constexpr double kRoundUpFrom = 0.01;             // a worker is not started for less of its work
constexpr double kWorkersMax = 1e6;               // these two keep numbers within their types
constexpr double kSecondsMax = 1e9;

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration of_seconds(double value) {
  return Duration(static_cast<Duration::rep>(std::min(value, kSecondsMax) * 1e9));
}

double positive(double value) {
  return std::isfinite(value) ? std::max(0.0, value) : 0.0;
}

std::uint32_t whole_workers(double count) {
  return static_cast<std::uint32_t>(std::clamp(std::ceil(count - kRoundUpFrom), 0.0, kWorkersMax));
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

// A rate that has lasted. The smoothed one jumps when one burst arrives, and that burst is already in the
// queue: counting it as a rate too would pay for it twice.
class LastingRate {
 public:
  double update(Instant now, double rate) {
    if (at_ != kNoInstant && now > at_) {
      const double weight = -std::expm1(-in_seconds(now - at_) / in_seconds(kArrivalMemory));
      slow_ += weight * (rate - slow_);
    }
    at_ = now;
    return std::min(slow_, rate);
  }

 private:
  Instant at_ = kNoInstant;
  double slow_ = 0;
};

// How long what is not needed is kept: a fixed time, at first. A fleet that had to grow again before the time
// off had paid for the boot was let go too soon, so it is kept for twice as long; one that stayed away for
// longer makes good for that.
class Hold {
 public:
  Duration of(Duration at_least, Duration boot) const { return factor_ * std::max(at_least, 2 * boot); }

  void learn(Instant now, Duration boot, std::uint32_t desired) {
    if (desired < last_) shrunk_at_ = now;
    if (desired > last_ && shrunk_at_ != kNoInstant) {
      factor_ =
          now - shrunk_at_ < 2 * boot ? std::min(factor_ * 2, kHoldFactorMax) : std::max(factor_ / 2, 1);
      shrunk_at_ = kNoInstant;
    }
    last_ = desired;
  }

 private:
  int factor_ = 1;
  std::uint32_t last_ = 0;
  Instant shrunk_at_ = kNoInstant;
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
};

class DrainTimePolicy final : public Policy {
 public:
  explicit DrainTimePolicy(DrainTimeOptions options) : options_(options) {}

  Decision decide(const Observation& seen, const Bounds& bounds) override;

 private:
  Demand measure(const Observation& seen, const Bounds& bounds);
  bool is_stalled(const Observation& seen, Duration patience);
  std::string words(const Observation& seen, const Demand& demand, std::uint32_t need, std::uint32_t desired,
                    Duration hold) const;
  Duration boot_of(const Observation& seen) const {
    return seen.boot > Duration::zero() ? seen.boot : std::max(options_.boot, Duration::zero());
  }
  Duration hold_of(const Observation& seen) const { return hold_.of(options_.idle_hold, boot_of(seen)); }

  DrainTimeOptions options_;
  WindowMax needs_;
  LastingRate rate_;
  Hold hold_;
  bool has_decided_ = false;
  Instant busy_at_ = kNoInstant;      // when something was last queued or leased
  Instant head_ = kNoInstant;         // when the oldest queued task was queued
  Instant passed_over_ = kNoInstant;  // since when idle workers leave it there
};

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

Demand DrainTimePolicy::measure(const Observation& seen, const Bounds& bounds) {
  Demand demand;
  const Duration boot = boot_of(seen);
  const Duration target = std::max(bounds.target_wait, Duration(milliseconds(1)));
  demand.boot = in_seconds(boot);
  demand.aim = in_seconds(std::clamp<Duration>(kBootsWorth * boot, target / kTargetParts, target));
  demand.is_stalled = is_stalled(seen, hold_of(seen));
  demand.queued_seconds = positive(seen.queued_seconds);
  demand.leased_seconds = positive(seen.leased_seconds);
  demand.rate = rate_.update(seen.now, positive(seen.arrival_seconds));
  // While no worker is up, or an idle one is about to take it, the oldest's wait tells nothing of its length.
  const Duration wait = seen.running > 0 && seen.idle == 0 ? seen.oldest_wait : Duration::zero();
  if (seen.queued > 0 && demand.queued_seconds <= 0) {
    demand.is_guess = true;
    const Duration each = std::clamp<Duration>(wait, target / kTargetParts, target);
    demand.queued_seconds = static_cast<double>(seen.queued) * in_seconds(each);
  } else if (wait > target + boot) {
    // Longer than a boot explains: the learned speed is wrong, and nothing has finished that would teach it.
    demand.late = in_seconds(wait) / in_seconds(target + boot);
    demand.queued_seconds *= demand.late;
  }
  if (seen.leased > 0 && demand.leased_seconds <= 0)
    demand.leased_seconds = static_cast<double>(seen.leased) * in_seconds(target);
  size_to_keep(seen, demand);
  size_to_grow(seen, demand);
  return demand;
}

Decision DrainTimePolicy::decide(const Observation& seen, const Bounds& bounds) {
  const Demand demand = measure(seen, bounds);
  const auto fleet = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
  // A fleet that was there before the first decision had its reasons, so it too goes only after the hold.
  if (!has_decided_) {
    needs_.push(seen.now, fleet);
    busy_at_ = seen.now;
  }
  has_decided_ = true;
  if (seen.queued + seen.leased > 0) busy_at_ = seen.now;

  const Duration hold = hold_of(seen);
  const std::uint32_t need = std::max(demand.grow, std::min(demand.keep, fleet));
  needs_.push(seen.now, need);
  // The past only keeps what there is; it starts nothing.
  const std::uint32_t desired = std::max(need, std::min(needs_.since(seen.now - hold), fleet));

  hold_.learn(seen.now, boot_of(seen), desired);

  Decision decision;
  decision.wanted = std::min(std::max(desired, bounds.workers_min), bounds.workers_max);
  decision.reason = words(seen, demand, need, desired, hold);
  if (desired > bounds.workers_max) {
    decision.reason += "; the maximum is " + std::to_string(bounds.workers_max);
  } else if (desired < bounds.workers_min) {
    decision.reason += "; the minimum is " + std::to_string(bounds.workers_min);
  }
  return decision;
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

std::string DrainTimePolicy::words(const Observation& seen, const Demand& demand, std::uint32_t need,
                                   std::uint32_t desired, Duration hold) const {
  std::string text = work_in_words(seen, demand);
  const bool is_empty = seen.queued + seen.leased == 0;
  if (demand.rate >= 0.01 && !is_empty)
    text += ", about " + describe_duration(of_seconds(demand.rate)) + " of work arrives each second";
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
  return text + (desired == 1 ? " starts" : " start") + " that within " +
         describe_duration(of_seconds(demand.aim));
}

}  // namespace

std::unique_ptr<Policy> make_drain_time_policy(DrainTimeOptions options) {
  return std::make_unique<DrainTimePolicy>(options);
}

}  // namespace skep::scaler
