// SPDX-License-Identifier: Apache-2.0
#include "worker/lease_loop.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/errors.h"
#include "task/limits.h"

namespace skep::worker {
namespace {

// One Complete must fit the manager's limit of a request; half of it leaves room for names and encodings.
constexpr std::size_t kCompleteBytesMax = limits::kBatchBytesMax / 2;
// Undelivered results beyond either of these stop the taking of more work: a manager that gives work and does
// not take results (its disk is full) must not fill this machine.
constexpr std::size_t kKeptBytesMax = 2 * limits::kBatchBytesMax;
constexpr std::uint32_t kKeptBatchesMax = 4;
// Work of so long a time is kept here beside what is computed. It must outlast the call that brings more, and
// be short, as what waits here is taken from workers that have nothing to do.
constexpr Duration kPrefetchFor = milliseconds(250);
constexpr Duration kPrefetchMemory = milliseconds(100);
// How long a drained worker waits for the answer to a long-poll that it abandoned: it may bring leases to
// hand back. And for a manager that takes them.
constexpr Duration kAbandonedMax = seconds(2);

// A heartbeat that told something is followed by another one so soon, for what comes next would find none
// waiting; not at once, as a task that is on its way here may be among what was cancelled.
constexpr Duration kNextBeat = milliseconds(50);

// The manager gave no answer, or one that says it can not serve now.
bool is_silence(Code code) {
  return code == Code::kUnavailable || code == Code::kTimeout || code == Code::kUnknownOutcome;
}

// The manager, or its certificate, says that the two do not belong together.
bool is_denial(Code code) {
  return code == Code::kUnauthenticated || code == Code::kForbidden;
}

// What is left of a count after some time.
double faded(double count, Duration after) {
  return count *
         std::exp(-std::chrono::duration<double>(after) / std::chrono::duration<double>(kPrefetchMemory));
}

}  // namespace

LeaseLoop::LeaseLoop(LoopOptions options, Random random, Instant now)
    : options_(options),
      random_(random),
      wake_at_(now),
      heartbeat_interval_(options.heartbeat),
      answered_at_(now),
      batch_max_(options.complete_max) {}

// ---- inputs ----

std::vector<Action> LeaseLoop::tick(Instant now) {
  return proceed(now, {});
}

std::vector<Action> LeaseLoop::on_registered(Instant now, Result<api::v1::RegisterReply> reply) {
  Actions actions;
  if (is_over_) return actions;
  if (reply.has_error()) {
    // A manager that has never accepted this worker and finds its request or its token wrong will not change
    // its mind. One that has may be given another token.
    if ((reply.error().code == Code::kInvalid || is_denial(reply.error().code)) && registration_ == 0) {
      register_.is_under_way = false;
      exit(api::info(reply.error().code).exit_code,
           "the manager refuses this worker: " + reply.error().message, actions);
      return actions;
    }
    failed(register_, reply.error(), now, actions);
    return proceed(now, std::move(actions));
  }
  succeeded(register_, now);
  worker_id_ = reply.value().worker();
  is_registered_ = true;
  ++registration_;
  // An answer waits no longer than that.
  const auto longest = static_cast<std::uint64_t>(limits::kWaitMax / milliseconds(1));
  const auto wanted = milliseconds(std::min(reply.value().heartbeat_ms(), longest));
  if (wanted > Duration::zero()) heartbeat_interval_ = wanted;
  // At once, so that the manager sees what is held from an earlier registration and has an answer to give for
  // what is leased first; unless that failed just before: a manager that registers this worker and then does
  // not know it must not make a loop without a pause.
  const bool is_failing = heartbeat_.back_off > options_.retry_first;
  if (!is_failing) heartbeat_.not_before = now;
  return proceed(now, std::move(actions));
}

std::vector<Action> LeaseLoop::on_acquired(Instant now, Result<api::v1::AcquireReply> reply, Pool pool) {
  Actions actions;
  Call& call = acquire(pool);
  if (reply.has_error()) {
    failed(call, reply.error(), now, actions);
    return proceed(now, std::move(actions));
  }
  // An empty answer long before its time must not make a loop without a pause.
  const Duration hasty = std::max(options_.acquire_wait / 2, options_.retry_first);
  const bool is_hasty = reply.value().leases().empty() && now - call.sent_at < hasty;
  const Duration back_off_before = call.back_off;
  succeeded(call, now);
  if (is_hasty) {
    call.back_off = back_off_before;
    back_off(call, now);
  }
  const bool is_drain_ordered = reply.value().drain();
  accept(std::move(reply.value()));
  hand_back_surplus(pool, now);
  if (is_drain_ordered) begin_drain(now, DrainCause::kOrder, actions);
  return proceed(now, std::move(actions));
}

std::vector<Action> LeaseLoop::on_finished(Instant now, api::v1::Outcome outcome) {
  if (const auto pool = held_.finish(std::move(outcome))) {
    Pace& pace = paces_[static_cast<std::size_t>(*pool)];
    pace.finished = faded(pace.finished, now - pace.at) + 1;
    pace.at = now;
  }
  return proceed(now, {});
}

std::vector<Action> LeaseLoop::on_handed_back(Instant now, api::v1::ReleasedLease lease) {
  // Lost or cancelled in the meantime: it is nobody's to hand back.
  const bool was_waiting =
      !lease.started() && is_draining() && held_.stage(lease.lease()) == HeldLeases::Stage::kRunning;
  if (was_waiting || held_.is_asked_back(lease.lease())) {
    held_.forget(lease.lease());
    const std::string name = lease.lease();
    releasing_.emplace(name, std::move(lease));
  }
  return proceed(now, {});
}

std::vector<Action> LeaseLoop::on_completed(Instant now, Result<api::v1::CompleteReply> reply) {
  Actions actions;
  if (reply.has_value()) {
    succeeded(complete_, now);
    settle(reply.value(), now);
    return proceed(now, std::move(actions));
  }
  failed(complete_, reply.error(), now, actions);
  const Code code = reply.error().code;
  if (!api::info(code).is_retryable && code != Code::kNotFound && !is_denial(code)) {
    // Something in the batch is refused as a whole: halving finds it, and alone it is given up.
    if (held_.delivering() == 1) held_.forget_delivering();
    batch_max_ = std::max(held_.delivering() / 2, 1u);
  }
  held_.put_back();
  return proceed(now, std::move(actions));
}

std::vector<Action> LeaseLoop::on_released(Instant now, Result<api::v1::ReleaseReply> reply) {
  Actions actions;
  bool is_settled = true;
  if (reply.has_value()) {
    succeeded(release_, now);
  } else {
    failed(release_, reply.error(), now, actions);
    // Refused for good: these leases end by expiring.
    const Code code = reply.error().code;
    is_settled = !api::info(code).is_retryable && code != Code::kNotFound && !is_denial(code);
  }
  if (is_settled) {
    for (const auto& lease : released_) releasing_.erase(lease);
  }
  released_.clear();
  return proceed(now, std::move(actions));
}

std::vector<Action> LeaseLoop::on_heartbeat(Instant now, Result<api::v1::HeartbeatReply> reply) {
  Actions actions;
  if (reply.has_error()) {
    failed(heartbeat_, reply.error(), now, actions);
    heartbeat_.not_before = std::min(heartbeat_.not_before, add_saturated(now, heartbeat_interval_));
    return proceed(now, std::move(actions));
  }
  succeeded(heartbeat_, now);
  heartbeat_.not_before = add_saturated(heartbeat_.sent_at, heartbeat_interval_);
  const bool is_told = reply.value().lost_size() > 0 || reply.value().cancelled_size() > 0 ||
                       (reply.value().drain() && !is_draining());
  if (is_told) heartbeat_.not_before = std::min(heartbeat_.not_before, add_saturated(now, kNextBeat));
  for (const auto& lease : reply.value().lost()) lose(lease, actions);
  for (const auto& lease : reply.value().cancelled()) cancel(lease, actions);
  const bool is_of_this_registration = heartbeat_.registration == registration_ && is_registered_;
  if (!left_.empty() && is_of_this_registration) actions.emplace_back(DoTakeLeave{std::exchange(left_, "")});
  if (reply.value().drain()) begin_drain(now, DrainCause::kOrder, actions);
  if (!reply.value().move_to().empty()) begin_move(now, reply.value().move_to(), actions);
  return proceed(now, std::move(actions));
}

std::vector<Action> LeaseLoop::move(Instant now, const std::string& manager) {
  Actions actions;
  if (!is_over_) begin_move(now, manager, actions);
  return proceed(now, std::move(actions));
}

// Nothing that it computes is stopped, and nobody gives it anything under its name of before any more.
void LeaseLoop::begin_move(Instant now, const std::string& manager, Actions& actions) {
  if (is_draining() || !is_registered_ || !left_.empty()) return;
  actions.emplace_back(DoMoveTo{manager});
  ++manager_;
  left_ = worker_id_;
  is_registered_ = false;
  register_.not_before = now;
}

std::vector<Action> LeaseLoop::drain(Instant now, DrainCause cause) {
  Actions actions;
  if (is_over_) return actions;
  // Who drained it by other means and now sends a signal is out of patience: it counts as the second.
  const bool is_hastened = is_draining() && drain_signals_ == 0;
  begin_drain(now, cause, actions);
  if (cause == DrainCause::kSignal) drain_signals_ += is_hastened ? 2 : 1;
  if (drain_signals_ == 2) ask_back(false, actions);
  if (drain_signals_ > 2) {
    exit(0, "asked three times to exit; " + std::to_string(finished()) + " results were not delivered",
         actions);
    return actions;
  }
  return proceed(now, std::move(actions));
}

// ---- what can be done now ----

std::vector<Action> LeaseLoop::proceed(Instant now, Actions actions) {
  if (is_over_) return {};
  if (is_draining()) {
    for (auto& lease : held_.take_waiting()) {
      auto& released = releasing_[lease];
      released.set_lease(lease);
    }
    if (now >= add_saturated(drain_began_, options_.resume_grace)) ask_back(true, actions);
    if (now >= add_saturated(drain_began_, drain_patience())) ask_back(false, actions);
    if (is_drained(now)) {
      // Who was told of its end may be gone before the next heartbeat.
      exit(0, notice_.empty() ? "drained" : "drained: " + notice_, actions);
      return actions;
    }
  }
  if (is_draining() && now >= forsaken_at()) {
    exit(0,
         "no manager has answered the drain for " + describe_duration(now - answered_at_) + ": " +
             std::to_string(finished()) + " results were not delivered",
         actions);
    return actions;
  }
  if (now >= add_saturated(answered_at_, options_.orphan_timeout)) {
    exit(0, "no manager has answered for " + describe_duration(now - answered_at_), actions);
    return actions;
  }
  start_waiting(actions);
  send_register(now, actions);
  send_heartbeat(now, actions);
  send_complete(now, actions);
  send_release(now, actions);
  send_acquire(now, actions);
  wake_at_ = next_wake(now);
  return actions;
}

void LeaseLoop::start_waiting(Actions& actions) {
  const auto start = [&](Pool pool, std::uint32_t most) {
    while (held_.running(pool) < most) {
      auto lease = held_.start_next(pool);
      if (!lease) return;
      actions.emplace_back(DoStart{std::move(*lease)});
    }
  };
  start(Pool::kLanes, options_.slots + options_.ahead);
  start(Pool::kCommands, options_.commands);
}

void LeaseLoop::send_register(Instant now, Actions& actions) {
  if (is_registered_ || register_.is_under_way || now < register_.not_before) return;
  sent(register_, now);
  actions.emplace_back(DoRegister{});
}

void LeaseLoop::send_heartbeat(Instant now, Actions& actions) {
  if (!can_send(heartbeat_, now)) return;
  sent(heartbeat_, now);
  DoHeartbeat heartbeat;
  held_.list(heartbeat.request);
  heartbeat.request.set_draining(is_draining());
  heartbeat.request.set_notice(notice_);
  heartbeat.request.set_wait_ms(static_cast<std::uint64_t>(heartbeat_interval_ / milliseconds(1)));
  actions.emplace_back(std::move(heartbeat));
}

void LeaseLoop::send_complete(Instant now, Actions& actions) {
  if (held_.undelivered() == 0 || !can_send(complete_, now)) return;
  sent(complete_, now);
  actions.emplace_back(DoComplete{held_.take_batch(batch_max_, kCompleteBytesMax)});
}

void LeaseLoop::send_release(Instant now, Actions& actions) {
  if (releasing_.empty() || !can_send(release_, now)) return;
  sent(release_, now);
  DoRelease release;
  for (const auto& [lease, released] : releasing_) {
    if (released_.size() == limits::kLeaseMax) break;
    release.leases.push_back(released);
    released_.push_back(lease);
  }
  actions.emplace_back(std::move(release));
}

void LeaseLoop::send_acquire(Instant now, Actions& actions) {
  for (const Pool pool : {Pool::kLanes, Pool::kCommands}) {
    Call& call = acquire(pool);
    const std::uint32_t max = wanted(pool, now);
    if (max == 0 || !can_send(call, now)) continue;
    sent(call, now);
    actions.emplace_back(DoAcquire{pool, max, options_.acquire_wait});
  }
}

std::uint32_t LeaseLoop::prefetch_now(Pool pool, Instant now) const {
  const Pace& pace = paces_[static_cast<std::size_t>(pool)];
  const double each_second =
      faded(pace.finished, now - pace.at) / std::chrono::duration<double>(kPrefetchMemory).count();
  const double lately = each_second * std::chrono::duration<double>(kPrefetchFor).count();
  const std::uint32_t least = std::min(options_.prefetch, std::max(1u, places(pool) / 16));
  const double fits = static_cast<double>(options_.prefetch_bytes) / std::max(pace.body_bytes, 1.0);
  const double most = std::min<double>(options_.prefetch, fits);
  return static_cast<std::uint32_t>(std::clamp(lately, std::min<double>(least, most), most));
}

std::uint32_t LeaseLoop::beyond_places(Pool pool) const {
  const std::uint32_t taken = held_.running(pool) + held_.waiting(pool);
  return taken > places(pool) ? taken - places(pool) : 0;
}

std::uint32_t LeaseLoop::wanted(Pool pool, Instant now) const {
  if (is_draining() || places(pool) == 0) return 0;
  if (held_.outcome_bytes() > kKeptBytesMax || finished() > kKeptBatchesMax * options_.complete_max) return 0;
  const std::uint32_t prefetch = prefetch_now(pool, now);
  const std::uint32_t taken = held_.running(pool) + held_.waiting(pool);
  // Half of the prefetch is used up before more is asked for, so that fast tasks come in batches.
  if (beyond_places(pool) * 2 > prefetch) return 0;
  return std::min<std::uint32_t>(places(pool) + prefetch - taken, limits::kLeaseMax);
}

Instant LeaseLoop::next_wake(Instant now) const {
  Instant at = add_saturated(answered_at_, options_.orphan_timeout);
  const auto consider = [&](bool is_wanted, const Call& call) {
    if (is_wanted && !call.is_under_way) at = std::min(at, call.not_before);
  };
  consider(!is_registered_, register_);
  if (is_registered_) {
    consider(true, heartbeat_);
    consider(held_.undelivered() > 0, complete_);
    consider(!releasing_.empty(), release_);
    consider(wanted(Pool::kLanes, now) > 0, acquires_[0]);
    consider(wanted(Pool::kCommands, now) > 0, acquires_[1]);
  }
  if (is_draining()) {
    at = std::min(at, forsaken_at());
    if (held_.can_ask_back(true)) at = std::min(at, add_saturated(drain_began_, options_.resume_grace));
    if (held_.can_ask_back(false)) at = std::min(at, add_saturated(drain_began_, drain_patience()));
    if (is_acquiring() && now < drain_began_ + kAbandonedMax) at = std::min(at, drain_began_ + kAbandonedMax);
  }
  return at;
}

// ---- calls ----

bool LeaseLoop::can_send(const Call& call, Instant now) const {
  return is_registered_ && !call.is_under_way && now >= call.not_before;
}

void LeaseLoop::sent(Call& call, Instant now) {
  call.is_under_way = true;
  call.sent_at = now;
  call.manager = manager_;
  call.registration = registration_;
}

void LeaseLoop::succeeded(Call& call, Instant now) {
  call.is_under_way = false;
  call.not_before = now;
  call.back_off = Duration::zero();
  answered_at_ = now;
}

void LeaseLoop::failed(Call& call, const Error& error, Instant now, Actions& actions) {
  call.is_under_way = false;
  back_off(call, now);
  if (is_silence(error.code) || is_denial(error.code)) {
    // Calls that fail together at one manager move on once. An abandoned long-poll fails by its own doing.
    const bool is_abandoned = (&call == &acquires_[0] || &call == &acquires_[1]) && is_draining();
    if (call.manager == manager_ && !is_abandoned) {
      ++manager_;
      actions.emplace_back(DoNextManager{});
    }
    return;
  }
  // Whoever refuses to register this worker, or answers what no manager says, is no manager of its own: the
  // orphan's clock goes on.
  const bool is_foreign = error.code == Code::kInternal || error.code == Code::kInvalid;
  if (&call != &register_ && !is_foreign) answered_at_ = now;
  if (error.code == Code::kNotFound && call.registration == registration_ && is_registered_) {
    is_registered_ = false;
    register_.not_before = now;
  }
}

void LeaseLoop::back_off(Call& call, Instant now) {
  call.back_off = call.back_off == Duration::zero() ? options_.retry_first
                                                    : std::min(2 * call.back_off, options_.retry_max);
  const auto bound = static_cast<std::uint64_t>(call.back_off.count());
  call.not_before = add_saturated(now, Duration(static_cast<Duration::rep>(random_.below(bound))));
}

// ---- leases ----

void LeaseLoop::accept(api::v1::AcquireReply reply) {
  for (auto& lease : *reply.mutable_leases()) {
    double& mean = paces_[static_cast<std::size_t>(pool_of(lease))].body_bytes;
    const auto bytes = static_cast<double>(lease.body().size());
    mean = mean == 0 ? bytes : mean + (bytes - mean) / 16;
    if (!releasing_.contains(lease.lease())) held_.accept(std::move(lease));
  }
}

// A long-poll that was sent while short tasks ended in numbers may be answered much later, with as many long
// ones: they are for workers that have nothing to do.
void LeaseLoop::hand_back_surplus(Pool pool, Instant now) {
  const std::uint32_t prefetch = prefetch_now(pool, now);
  const std::uint32_t beyond = beyond_places(pool);
  if (beyond <= 2 * prefetch) return;  // what is right has faded a little while the answer was on its way
  for (const auto& lease : held_.take_newest_waiting(pool, beyond - prefetch))
    releasing_[lease].set_lease(lease);
}

void LeaseLoop::settle(const api::v1::CompleteReply& reply, Instant now) {
  batch_max_ = std::min(2 * batch_max_, options_.complete_max);
  for (const auto& outcome : reply.outcomes()) {
    if (held_.stage(outcome.lease()) != HeldLeases::Stage::kDelivering) continue;
    const auto code = api::parse_code(outcome.status());
    const bool is_final = !code || !api::info(*code).is_retryable;  // "ok" is no code
    if (is_final) held_.forget(outcome.lease());
  }
  if (held_.delivering() == 0) return;
  held_.put_back();
  back_off(complete_, now);
}

void LeaseLoop::lose(const std::string& lease, Actions& actions) {
  const auto stage = held_.stage(lease);
  if (!stage) return;
  if (*stage == HeldLeases::Stage::kFinished || *stage == HeldLeases::Stage::kDelivering) {
    held_.mark_lost(lease);
    return;
  }
  if (*stage == HeldLeases::Stage::kRunning) actions.emplace_back(DoStop{lease});
  held_.forget(lease);
}

void LeaseLoop::cancel(const std::string& lease, Actions& actions) {
  const auto stage = held_.stage(lease);
  // The answer to the delivery under way settles it.
  if (!stage || *stage == HeldLeases::Stage::kDelivering) return;
  if (*stage == HeldLeases::Stage::kRunning) actions.emplace_back(DoStop{lease});
  held_.forget(lease);
}

// ---- the end ----

void LeaseLoop::begin_drain(Instant now, DrainCause cause, Actions& actions) {
  if (is_draining()) return;
  drain_cause_ = cause;
  drain_began_ = now;
  if (is_acquiring()) actions.emplace_back(DoCancelAcquire{});
  // What the threads were given ahead of their lanes is not to begin now.
  if (options_.ahead == 0) return;
  for (auto& lease : held_.running_leases(Pool::kLanes))
    actions.emplace_back(DoHandBack{std::move(lease), true});
}

Duration LeaseLoop::drain_patience() const {
  return drain_cause_ == DrainCause::kSpotNotice ? options_.notice_timeout : options_.drain_timeout;
}

Instant LeaseLoop::forsaken_at() const {
  // What runs is handed back after the drain timeout; the call for it gets a chance.
  return add_saturated(std::max(answered_at_, drain_began_), drain_patience() + kAbandonedMax);
}

void LeaseLoop::ask_back(bool is_resumable_only, Actions& actions) {
  for (auto& lease : held_.ask_back(is_resumable_only))
    actions.emplace_back(DoHandBack{std::move(lease), false});
}

bool LeaseLoop::is_drained(Instant now) const {
  const bool is_acquire_over = !is_acquiring() || now >= drain_began_ + kAbandonedMax;
  return held_.is_empty() && releasing_.empty() && is_acquire_over;
}

void LeaseLoop::exit(int code, std::string reason, Actions& actions) {
  for (auto& lease : held_.take_running()) actions.emplace_back(DoStop{std::move(lease)});
  is_over_ = true;
  wake_at_ = kNever;
  actions.emplace_back(DoExit{code, std::move(reason)});
}

}  // namespace skep::worker
