// SPDX-License-Identifier: Apache-2.0
#include "scaler/reconciler.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace skep::scaler {
namespace {

constexpr Duration kStable = seconds(5);           // up for so long: the boot was a success
constexpr Duration kSettle = seconds(10);          // after a launch, a list that lacks it may be out of date
constexpr Duration kDrainAgain = seconds(5);       // an order that its worker does not know of
constexpr Duration kTerminateAgain = seconds(10);  // what was to be terminated and still runs is asked again
constexpr Duration kStoppingAgain = minutes(1);    // the same for what says that it stops
constexpr Duration kStoppingCounts = minutes(5);   // what stops for longer no longer holds up a launch

std::string number_of(std::uint64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

bool belongs_to(std::string_view token, std::string_view launch) {
  return token.starts_with(launch) && (token.size() == launch.size() || token[launch.size()] == '-');
}

}  // namespace

Reconciler::Reconciler(ReconcilerOptions options)
    : options_(std::move(options)),
      backoff_(options_.backoff_first, options_.backoff_max),
      crash_backoff_(options_.backoff_first, options_.crash_backoff_max) {}

void Reconciler::begin_anew() {
  instances_.clear();
  std::erase_if(launches_, [](const Pending& launch) { return launch.answered_at != kNoInstant; });
  surplus_since_ = kNoInstant;
}

void Reconciler::absorb(Instant now, const std::vector<Instance>& listed,
                        const std::vector<WorkerSeen>& workers) {
  begin(now, listed, workers);
  end();
}

std::vector<Action> Reconciler::reconcile(Instant now, std::uint32_t wanted, std::uint32_t workers_max,
                                          const std::vector<Instance>& listed,
                                          const std::vector<WorkerSeen>& workers) {
  begin(now, listed, workers);
  end_lost(now, workers);
  end_overdue(now);
  terminate_again(now);
  drain_again(now);
  drain_surplus(now, wanted, workers_max);
  launch_missing(now, wanted, workers_max);
  end();
  return std::exchange(actions_, {});
}

std::vector<Action> Reconciler::tend(Instant now, const std::vector<Instance>& listed,
                                     const std::vector<WorkerSeen>& workers) {
  begin(now, listed, workers);
  end_lost(now, workers);
  end_overdue(now);
  terminate_again(now);
  drain_again(now);
  surplus_since_ = kNoInstant;
  end();
  return std::exchange(actions_, {});
}

std::vector<Action> Reconciler::wind_down(Instant now, bool is_overdue, const std::vector<Instance>& listed,
                                          const std::vector<WorkerSeen>& workers) {
  begin(now, listed, workers);
  end_lost(now, workers);
  for (auto& [id, known] : instances_) {
    if (known.terminate_first != kNoInstant) continue;
    if (is_overdue) {
      terminate(now, known, Fate::kStopped, "the time to drain is over");
    } else if (known.phase == Phase::kBooting) {
      terminate(now, known, Fate::kStopped, "the fleet is let go before it came up");
    } else if (is_up(known)) {
      drain(now, known, "the fleet is let go");
    }
  }
  terminate_again(now);
  drain_again(now);
  end();
  return std::exchange(actions_, {});
}

// ---- what is there ----

void Reconciler::begin(Instant now, const std::vector<Instance>& listed,
                       const std::vector<WorkerSeen>& workers) {
  seen_at_ = now;
  wake_at_ = kNever;
  held_because_.clear();
  list_at_ = listed_at_.value_or(now);
  std::map<std::string, Instant> still_named;
  Tokens tokens;
  for (const WorkerSeen& worker : workers) {
    if (is_forgotten(worker)) {
      still_named.emplace(worker.worker, forgotten_.at(worker.worker));
    } else if (!worker.instance.empty()) {
      tokens.emplace(worker.instance, &worker);
    }
  }
  forgotten_ = std::move(still_named);
  see_listed(now, listed, tokens);
  drop_unlisted(now, listed, tokens);
  see_workers(now, workers, tokens);
  drop_settled_launches();
}

// The workers passed in are gone when the call returns.
void Reconciler::end() {
  totals_.running = others_running_;
  totals_.draining = others_draining_;
  totals_.booting = 0;
  own_ = 0;
  own_idle_ = 0;
  for (auto& [id, known] : instances_) {
    if (is_up(known)) {
      ++totals_.running;
      ++own_;
      if (known.seen->leases == 0) ++own_idle_;
    } else if (is_booting(known)) {
      ++totals_.booting;
      ++own_;
    } else {
      ++totals_.draining;
    }
    known.seen = nullptr;
  }
  for (const Pending& launch : launches_) {
    if (launch.answered_at == kNoInstant) totals_.booting += launch.count;
    if (is_recent(launch)) own_ += launch.count;
  }
}

void Reconciler::see_listed(Instant now, const std::vector<Instance>& listed, const Tokens& tokens) {
  for (const Instance& instance : listed) {
    auto found = instances_.find(instance.id);
    if (instance.state == InstanceState::kGone) {
      const std::string why =
          "instance " + instance.id + " is gone" + (instance.detail.empty() ? "" : ": " + instance.detail);
      forget_all(now, instance.token, why, tokens);
      if (found == instances_.end()) continue;
      note_heard(now, found->second, tokens);
      count_end(now, found->second, why);
      instances_.erase(found);
      continue;
    }
    Known& known = found != instances_.end() ? found->second : add(now, instance, launch_of(instance.token));
    known.instance = instance;
    known.was_listed = true;
    if (instance.state != InstanceState::kStopping) {
      known.stopping_since = kNoInstant;
    } else if (known.stopping_since == kNoInstant) {
      known.stopping_since = now;
    }
    known.is_stuck = known.stopping_since != kNoInstant && now - known.stopping_since > kStoppingCounts;
    see_start(now, known);
  }
}

// Its boot begins when it runs: how long it took to get there says nothing against it.
void Reconciler::see_start(Instant now, Known& known) {
  if (known.phase != Phase::kBooting) return;
  const bool was_starting = known.is_starting;
  known.is_starting = known.instance.state == InstanceState::kStarting;
  if (known.is_starting) {
    known.boot_deadline = add_saturated(known.launched_at, options_.start_timeout);
  } else if (was_starting) {
    known.boot_deadline = add_saturated(now, options_.boot_timeout);
  }
}

void Reconciler::drop_unlisted(Instant now, const std::vector<Instance>& listed, const Tokens& tokens) {
  std::set<std::string_view> ids;
  for (const Instance& instance : listed) ids.insert(instance.id);
  for (auto next = instances_.begin(); next != instances_.end();) {
    const auto here = next++;
    Known& known = here->second;
    if (ids.contains(here->first)) continue;
    const bool was_never_there = known.terminate_first != kNoInstant &&
                                 list_at_ >= add_saturated(known.terminate_first, options_.boot_timeout);
    if (!known.was_listed && !was_never_there) continue;  // the list may be older than the instance
    const std::string why = "instance " + here->first + " is not listed any more";
    forget_all(now, known.instance.token, why, tokens);
    note_heard(now, known, tokens);
    count_end(now, known, why);
    instances_.erase(here);
  }
}

void Reconciler::see_workers(Instant now, const std::vector<WorkerSeen>& workers, const Tokens& tokens) {
  std::set<std::string_view> known_tokens;
  for (auto& [id, known] : instances_) {
    see_worker(now, known, tokens);
    known_tokens.insert(known.instance.token);
  }
  others_running_ = 0;
  others_unfit_ = 0;
  others_draining_ = 0;
  for (const WorkerSeen& worker : workers) {
    if (worker.is_lost || is_forgotten(worker)) continue;
    if (!worker.instance.empty() && known_tokens.contains(worker.instance)) continue;
    ++(worker.is_draining ? others_draining_ : others_running_);
    if (!worker.is_draining && !worker.is_fit) ++others_unfit_;
  }
}

void Reconciler::see_worker(Instant now, Known& known, const Tokens& tokens) {
  known.seen = nullptr;
  const auto [first, last] = tokens.equal_range(known.instance.token);
  // One that registered twice is named twice until its first name is lost: the one heard from last counts.
  for (auto it = first; it != last; ++it) {
    const WorkerSeen& worker = *it->second;
    if (is_forgotten(worker)) continue;
    const bool is_better = known.seen == nullptr || (known.seen->is_lost && !worker.is_lost) ||
                           (known.seen->is_lost == worker.is_lost && worker.heard_at > known.seen->heard_at);
    if (is_better) known.seen = &worker;
  }
  if (known.seen == nullptr) {
    known.was_awaited = true;
    if (known.phase != Phase::kUp) return;
    known.phase = Phase::kLeft;
    known.boot_deadline = add_saturated(now, options_.boot_timeout);
    return;
  }
  known.has_worked |= known.seen->leases > 0;
  if (known.seen->is_lost) return;
  if (known.up_at == kNoInstant) came_up(now, known);
  known.phase = Phase::kUp;
  if (known.seen->is_draining && known.draining_since == kNoInstant) known.draining_since = now;
  if (backoff_.in_a_row() == 0) return;
  if (now - known.up_at >= kStable) {
    backoff_.succeeded(known.launched_at);
  } else {
    wake_by(known.up_at + kStable);
  }
}

void Reconciler::came_up(Instant now, Known& known) {
  known.up_at = now;
  if (!known.is_launched) return;
  // One that was known only after its worker came up took less than it seems: that teaches something if it is
  // less than what is believed without any.
  const Duration took = now - known.launched_at;
  if (!known.was_awaited && took >= options_.boot) return;
  boots_.add(known.instance.type, std::max(took, Duration(1)));
}

Reconciler::Known& Reconciler::add(Instant now, const Instance& instance, Pending* launch) {
  Known known;
  known.instance = instance;
  known.is_launched = launch != nullptr;
  known.launched_at = launch != nullptr ? launch->asked_at : now;
  known.boot_deadline = add_saturated(now, options_.boot_timeout);
  see_start(now, known);
  if (launch != nullptr) {
    ++totals_.started;
    if (launch->count > 0) --launch->count;
  }
  return instances_.insert_or_assign(instance.id, std::move(known)).first->second;
}

Reconciler::Pending* Reconciler::launch_of(std::string_view token) {
  const auto found = std::find_if(launches_.begin(), launches_.end(),
                                  [&](const Pending& launch) { return belongs_to(token, launch.token); });
  return found == launches_.end() ? nullptr : &*found;
}

// ---- what came of launches ----

void Reconciler::on_launched(Instant now, std::uint32_t count, const LaunchReply& reply,
                             std::string_view token) {
  const auto found = std::find_if(launches_.begin(), launches_.end(), [&](const Pending& launch) {
    if (launch.answered_at != kNoInstant) return false;
    return token.empty() ? launch.asked_count == count : launch.token == token;
  });
  Pending* launch = found == launches_.end() ? nullptr : &*found;
  for (const Instance& instance : reply.started) {
    if (!instances_.contains(instance.id)) add(now, instance, launch);
  }
  if (launch == nullptr) return;
  std::uint32_t failures = 0;
  for (const Error& error : reply.errors) {
    if (error.code == Code::kUnknownOutcome) continue;
    ++failures;
    backoff_.failed(now, launch->asked_at, error.message);
  }
  totals_.boot_failures += failures;
  // What is neither started nor failed may exist: a list will show it, or not.
  launch->count -= std::min(launch->count, failures);
  for (Pace& pace : paced_) {
    if (pace.token == launch->token) pace.count -= std::min(pace.count, failures);
  }
  launch->answered_at = now;
  if (launch->count == 0) launches_.erase(found);
}

bool Reconciler::is_recent(const Pending& launch) const {
  return launch.answered_at == kNoInstant || list_at_ < add_saturated(launch.answered_at, kSettle);
}

void Reconciler::drop_settled_launches() {
  std::erase_if(launches_, [this](const Pending& launch) {
    if (launch.answered_at == kNoInstant) return false;
    return launch.count == 0 || list_at_ >= add_saturated(launch.answered_at, options_.boot_timeout);
  });
}

// ---- what went away ----

// One that came up and went away between two looks did not fail to boot.
void Reconciler::note_heard(Instant now, Known& known, const Tokens& tokens) {
  const auto [first, last] = tokens.equal_range(known.instance.token);
  for (auto at = first; at != last; ++at) known.has_worked |= at->second->leases > 0;
  if (known.phase != Phase::kBooting || first == last) return;
  known.phase = Phase::kUp;
  known.up_at = now;
}

void Reconciler::count_end(Instant now, const Known& known, const std::string& why) {
  if (known.fate != Fate::kOpen) return;  // counted when that was decided
  if (known.phase == Phase::kBooting) {
    if (!known.is_launched) return;
    ++totals_.boot_failures;
    backoff_.failed(now, known.launched_at, why);
    return;
  }
  const bool was_asked = known.draining_since != kNoInstant;
  ++(was_asked || known.phase == Phase::kLeft ? totals_.stopped : totals_.crashed);
  if (was_asked || now - known.up_at >= kStable) return;
  // One that comes up and goes right away, again and again, is no better than one that does not come up. But
  // where a task may have killed it, others would wait for long, and the task's own budget ends that.
  (known.has_worked ? crash_backoff_ : backoff_).failed(now, known.launched_at, why);
}

void Reconciler::forget_all(Instant now, std::string_view token, const std::string& why,
                            const Tokens& tokens) {
  const auto [first, last] = tokens.equal_range(token);
  for (auto it = first; it != last; ++it) forget(now, *it->second, why);
}

void Reconciler::forget(Instant now, const WorkerSeen& worker, std::string reason) {
  if (is_forgotten(worker)) return;
  forgotten_[worker.worker] = now;
  Action action;
  action.kind = ActionKind::kForget;
  action.worker = worker.worker;
  action.reason = std::move(reason);
  actions_.push_back(std::move(action));
}

// One that is heard from after it was forgotten is there all the same.
bool Reconciler::is_forgotten(const WorkerSeen& worker) const {
  const auto found = forgotten_.find(worker.worker);
  return found != forgotten_.end() && (worker.is_lost || worker.heard_at <= found->second);
}

void Reconciler::end_lost(Instant now, const std::vector<WorkerSeen>& workers) {
  for (const WorkerSeen& worker : workers) {
    if (worker.is_lost) forget(now, worker, "it was silent for " + describe_duration(now - worker.heard_at));
  }
  for (auto& [id, known] : instances_) {
    if (known.seen == nullptr || !known.seen->is_lost || known.terminate_first != kNoInstant) continue;
    terminate(now, known, Fate::kCrashed,
              "its worker " + known.seen->worker + " was silent for " +
                  describe_duration(now - known.seen->heard_at));
  }
}

void Reconciler::end_overdue(Instant now) {
  const std::string patience = describe_duration(options_.boot_timeout);
  for (auto& [id, known] : instances_) {
    if (known.terminate_first != kNoInstant) continue;
    if (known.draining_since != kNoInstant) {
      const Instant deadline = add_saturated(known.draining_since, options_.drain_timeout);
      if (now >= deadline) {
        terminate(now, known, Fate::kStopped,
                  "it drains for longer than " + describe_duration(options_.drain_timeout));
      } else {
        wake_by(deadline);
      }
    } else if (known.phase != Phase::kUp && now < known.boot_deadline) {
      wake_by(known.boot_deadline);
    } else if (known.phase == Phase::kLeft) {
      terminate(now, known, Fate::kStopped, "its worker signed off " + patience + " ago");
    } else if (known.phase == Phase::kBooting && known.is_launched) {
      const std::string why = known.is_starting
                                  ? "it did not run within " + describe_duration(options_.start_timeout)
                                  : "it was not heard from within " + patience + " of its start";
      backoff_.failed(now, known.launched_at, "instance " + id + ": " + why);
      terminate(now, known, Fate::kBootFailed, why);
    } else if (known.phase == Phase::kBooting) {
      terminate(now, known, Fate::kStopped,
                "nobody here started it and it was not heard from within " + patience);
    }
  }
}

// ---- acting ----

void Reconciler::terminate(Instant now, Known& known, Fate fate, std::string reason) {
  known.fate = fate;
  if (fate == Fate::kStopped) ++totals_.stopped;
  if (fate == Fate::kCrashed) ++totals_.crashed;
  if (fate == Fate::kBootFailed) ++totals_.boot_failures;
  known.terminate_first = now;
  ask_to_terminate(now, known, std::move(reason));
}

void Reconciler::ask_to_terminate(Instant now, Known& known, std::string reason) {
  known.terminate_last = now;
  Action action;
  action.kind = ActionKind::kTerminate;
  action.instance = known.instance.id;
  if (known.seen != nullptr) action.worker = known.seen->worker;
  action.reason = std::move(reason);
  actions_.push_back(std::move(action));
}

void Reconciler::terminate_again(Instant now) {
  for (auto& [id, known] : instances_) {
    if (known.terminate_first == kNoInstant) continue;
    const bool is_stopping = known.instance.state == InstanceState::kStopping;
    const Duration patience = is_stopping ? kStoppingAgain : kTerminateAgain;
    if (now - known.terminate_last >= patience) {
      ask_to_terminate(now, known,
                       "it is still there " + describe_duration(now - known.terminate_first) +
                           " after it was to be terminated");
    }
    wake_by(known.terminate_last + patience);
  }
}

void Reconciler::drain(Instant now, Known& known, std::string reason) {
  known.draining_since = now;
  ask_to_drain(now, known, std::move(reason));
  wake_by(add_saturated(now, options_.drain_timeout));
}

void Reconciler::ask_to_drain(Instant now, Known& known, std::string reason) {
  known.drain_last = now;
  Action action;
  action.kind = ActionKind::kDrain;
  action.worker = known.seen->worker;
  action.instance = known.instance.id;
  action.reason = std::move(reason);
  actions_.push_back(std::move(action));
}

// Where it is registered with another manager the order may get lost, and one that registers anew has none.
void Reconciler::drain_again(Instant now) {
  for (auto& [id, known] : instances_) {
    const bool is_asked = known.drain_last != kNoInstant && known.terminate_first == kNoInstant;
    if (!is_asked || known.seen == nullptr || known.seen->is_lost || known.seen->is_draining) continue;
    if (now - known.drain_last >= kDrainAgain) {
      ask_to_drain(now, known,
                   "it takes tasks " + describe_duration(now - known.draining_since) +
                       " after it was to drain");
    }
    wake_by(known.drain_last + kDrainAgain);
  }
}

std::vector<Reconciler::Known*> Reconciler::by_ease_of_drain() {
  std::vector<Known*> running;
  for (auto& [id, known] : instances_) {
    if (is_up(known)) running.push_back(&known);
  }
  std::sort(running.begin(), running.end(), [](const Known* a, const Known* b) {
    if (a->seen->leases != b->seen->leases) return a->seen->leases < b->seen->leases;
    if (a->seen->idle_since != b->seen->idle_since) return a->seen->idle_since < b->seen->idle_since;
    if (a->launched_at != b->launched_at) return a->launched_at > b->launched_at;
    return a->instance.id > b->instance.id;
  });
  return running;
}

void Reconciler::drain_surplus(Instant now, std::uint32_t wanted, std::uint32_t workers_max) {
  const std::vector<Known*> own = by_ease_of_drain();
  // Others that can take nothing of what waits stand in for none of its own.
  const auto there = static_cast<std::uint32_t>(own.size()) + others_running_;
  const std::uint32_t running = there - others_unfit_;
  if (running <= wanted || own.empty()) {
    surplus_since_ = kNoInstant;
    return;
  }
  if (surplus_since_ == kNoInstant) surplus_since_ = now;
  const std::uint32_t must_go = there > workers_max ? there - workers_max : 0;
  const std::string enough = std::to_string(wanted) + (wanted == 1 ? " is wanted" : " are wanted") + " and " +
                             std::to_string(running) + (running == 1 ? " runs" : " run");
  std::uint32_t drained = 0;
  for (Known* known : own) {
    if (drained == running - wanted) break;
    if (known->seen->leases == 0) {
      drain(now, *known, enough + ": this one is idle");
    } else if (drained < must_go) {
      drain(now, *known, enough + ": the maximum is " + std::to_string(workers_max));
    } else if (drained == 0 && now - surplus_since_ >= options_.busy_hold) {
      drain(now, *known, enough + ": none was idle for " + describe_duration(now - surplus_since_));
    } else {
      break;
    }
    ++drained;
  }
  if (drained > 0) surplus_since_ = now;
}

void Reconciler::launch_missing(Instant now, std::uint32_t wanted, std::uint32_t workers_max) {
  std::uint32_t running = others_running_ - others_unfit_;
  std::uint32_t booting = 0;
  for (const auto& [id, known] : instances_) {
    if (is_up(known)) ++running;
    if (is_booting(known)) ++booting;
  }
  for (const Pending& launch : launches_) {
    if (is_recent(launch)) booting += launch.count;
  }
  if (running + booting >= wanted) return;
  const std::uint32_t missing = wanted - running - booting;
  const std::uint32_t count = launchable(now, missing, booting, workers_max);
  if (count == 0) return;
  Pending launch;
  launch.token = options_.launch_prefix + "-" + std::to_string(++launches_made_);
  launch.asked_count = launch.count = count;
  launch.asked_at = now;
  Action action;
  action.kind = ActionKind::kLaunch;
  action.count = count;
  action.token = launch.token;
  action.reason = std::to_string(wanted) + (wanted == 1 ? " is wanted, " : " are wanted, ") +
                  std::to_string(running) + (running == 1 ? " runs and " : " run and ") +
                  std::to_string(booting) + (booting == 1 ? " boots" : " boot");
  actions_.push_back(std::move(action));
  paced_.push_back({launch.token, count, now});
  launches_.push_back(std::move(launch));
}

std::uint32_t Reconciler::launchable(Instant now, std::uint32_t missing, std::uint32_t booting,
                                     std::uint32_t workers_max) {
  const std::string failures = failing_because();
  if (now < backoff_.until()) {
    wake_by(backoff_.until());
    held_because_ = "launches wait until " + format_instant(backoff_.until()) + " because " + failures;
    return 0;
  }
  if (now < crash_backoff_.until()) {
    wake_by(crash_backoff_.until());
    held_because_ = "launches wait until " + format_instant(crash_backoff_.until()) +
                    " because a worker went with work in its hands: " + crash_backoff_.why();
    return 0;
  }
  const std::uint32_t free = room(workers_max);
  if (free == 0) {
    const std::uint32_t there = existing() + others_running_ + others_draining_;
    held_because_ = number_of(there, "worker exists", "workers exist") +
                    " or may exist, and the maximum is " + std::to_string(workers_max);
    return 0;
  }
  const std::uint32_t paced = launchable_by_pace(now);
  if (paced < std::min(missing, free)) {
    held_because_ =
        "no more than " + std::to_string(options_.launches_minute_max) + " are launched in a minute";
  }
  std::uint32_t count = std::min({missing, free, options_.launches_at_once_max, paced});
  if (backoff_.in_a_row() >= kProbeAfter) {
    held_because_ = "one is tried at a time because " + failures;
    count = booting > 0 ? 0 : std::min(count, 1u);
  }
  return count;
}

// How many more may be launched in this minute.
std::uint32_t Reconciler::launchable_by_pace(Instant now) {
  std::erase_if(paced_, [now](const Pace& pace) { return pace.at <= now - minutes(1); });
  if (options_.launches_minute_max == 0) return std::numeric_limits<std::uint32_t>::max();
  std::uint32_t made = 0;
  for (const Pace& pace : paced_) made += pace.count;
  if (!paced_.empty()) wake_by(paced_.front().at + minutes(1));
  return options_.launches_minute_max - std::min(options_.launches_minute_max, made);
}

std::string Reconciler::failing_because() const {
  if (backoff_.in_a_row() == 0) return {};
  return number_of(backoff_.in_a_row(), "boot failed", "boots failed in a row") + ", last: " + backoff_.why();
}

void Reconciler::wake_by(Instant when) {
  wake_at_ = std::min(wake_at_, when);
}

}  // namespace skep::scaler
