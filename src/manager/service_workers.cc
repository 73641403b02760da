// SPDX-License-Identifier: Apache-2.0
// What workers ask for, in the v1 protocol and in the seed's.
#include <algorithm>

#include "api/errors.h"
#include "api/json.h"
#include "base/check.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

Error unknown_worker(const std::string& id) {
  return fail(Code::kNotFound, "worker '" + id.substr(0, 64) + "' is not known here: register again");
}

constexpr std::size_t kNamesMax = 1'000;    // kinds, or programs, of one worker
constexpr std::size_t kTextBytesMax = 255;  // of what a worker says of itself
constexpr int kRunningShown = 256;          // tasks of one worker, in an answer

void fill_running(const TaskRecord& record, const std::optional<queue::RunProgress>& progress,
                  api::v1::RunningTask& out) {
  out.set_task(record.id.to_string());
  out.set_queue(record.spec.queue);
  out.set_kind(record.spec.kind);
  out.set_program(record.spec.program);
  out.set_iterations(record.spec.iterations);
  out.set_leased_at_ms(to_unix_ms(record.leased_at));
  if (record.started_at != kNoInstant) out.set_started_at_ms(to_unix_ms(record.started_at));
  if (record.checkpoint) out.set_iterations_done(record.checkpoint->iterations);
  if (!progress) return;
  out.set_iterations_done(progress->iterations_done);
  out.set_progress_at_ms(to_unix_ms(progress->at));
}
// What an outcome takes beside its result while it waits for its commit.
constexpr std::size_t kWaitingOutcomeBytes = 2'048;

// What a worker says of itself is kept with every task that it has, so it is short.
Result<void> check_worker_id(const std::string& id) {
  if (id.size() <= limits::kNameBytesMax) return ok();
  return fail(Code::kInvalid, "'worker' has " + std::to_string(id.size()) + " bytes; an id has at most " +
                                  std::to_string(limits::kNameBytesMax));
}

// What a worker can do. Of a registration, and of an acquire, which may say less.
template <class Request>
Result<void> check_names(const Request& request) {
  for (const auto* names : {&request.kinds(), &request.programs()}) {
    if (static_cast<std::size_t>(names->size()) > kNamesMax) {
      return fail(Code::kInvalid,
                  "a worker lists at most " + std::to_string(kNamesMax) + " kinds and programs");
    }
    for (const auto& name : *names) {
      SKEP_TRY(validate_name("kind or program", name));
    }
  }
  return ok();
}

Result<void> check_registration(const api::v1::RegisterRequest& request) {
  const std::pair<const char*, const std::string&> texts[] = {{"name", request.name()},
                                                              {"host", request.host()},
                                                              {"instance", request.instance()},
                                                              {"version", request.version()}};
  for (const auto& [field, text] : texts) {
    if (text.size() > kTextBytesMax) {
      return fail(Code::kInvalid,
                  "'" + std::string(field) + "' is longer than " + std::to_string(kTextBytesMax) + " bytes");
    }
  }
  if (request.slots() > limits::kLeaseMax) {
    return fail(Code::kInvalid, "'slots' is " + std::to_string(request.slots()) + "; a worker has at most " +
                                    std::to_string(limits::kLeaseMax));
  }
  return check_names(request);
}

}  // namespace

std::vector<queue::Extend::Held> Service::read_held(const api::v1::HeartbeatRequest& request,
                                                    api::v1::HeartbeatReply& reply) {
  std::vector<queue::Extend::Held> held;
  for (const auto& item : request.leases()) {
    const auto token = LeaseToken::parse(item.lease());
    if (token) {
      held.push_back({token.value(), item.started(), {item.iterations_done(), item.checkpoint()}});
    } else {
      reply.add_lost(item.lease());
    }
  }
  return held;
}

void Service::extend(Turn& turn, const std::string& worker, std::vector<queue::Extend::Held>& held,
                     api::v1::HeartbeatReply& reply) {
  for (const auto& shard : turn.shards()) {
    queue::Extend command{worker, options_.lease, {}};
    for (auto& item : held) {
      if (item.token.task.shard == shard->id()) command.leases.push_back(std::move(item));
    }
    if (command.leases.empty()) continue;
    const auto extended = turn.apply(*shard, command);
    for (const auto& token : extended.lost) reply.add_lost(token.to_string());
    for (const auto& token : extended.cancelled) reply.add_cancelled(token.to_string());
    for (const auto& refused : extended.refused) note_refused(worker, refused.token, refused.why);
  }
  // Where others own shards, too, nobody can say that it is lost but they.
  if (keeper_) return;
  for (const auto& item : held) {
    if (turn.shard(item.token.task.shard) == nullptr) reply.add_lost(item.token.to_string());
  }
}

void Service::register_worker(api::v1::RegisterRequest request, Reply<api::v1::RegisterReply> reply) {
  if (auto checked = check_registration(request); !checked) {
    reply(checked.error());
    return;
  }
  if (host_.shards().empty() && !keeper_) {
    reply(fail(Code::kUnavailable, "the store does not serve: " + host_.problem()));
    return;
  }
  const Instant now = executor_.now();
  WorkerInfo& worker = registry_.add(request, life_name(), now);
  events_.add(now, "worker", worker.id, "registered", worker.name);
  log_.info("worker registered", {{"worker", worker.id}, {"name", worker.name}, {"slots", worker.slots}});
  api::v1::RegisterReply message;
  message.set_worker(worker.id);
  message.set_heartbeat_ms(
      static_cast<std::uint64_t>(duration_cast<milliseconds>(options_.heartbeat).count()));
  message.set_lease_ms(static_cast<std::uint64_t>(duration_cast<milliseconds>(options_.lease).count()));
  for (const auto& manager : managers()) message.add_managers(manager);
  if (scaler_ != nullptr) scaler_->poke();
  reply(std::move(message));
}

void Service::heartbeat(std::string id, api::v1::HeartbeatRequest request,
                        Reply<api::v1::HeartbeatReply> reply) {
  WorkerInfo* worker = registry_.heard(id, executor_.now());
  if (worker == nullptr) {
    reply(unknown_worker(id));
    return;
  }
  answer_beat(id);  // the worker has turned to this one
  if (request.draining()) worker->is_draining = true;
  note_notice(*worker, request.notice());
  if (request.iterations_per_second() > 0) worker->iterations_per_second = request.iterations_per_second();
  const auto wait =
      milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(request.wait_ms(), 86'400'000)));
  const Instant wait_until =
      add_saturated(executor_.now(), std::min<Duration>({wait, options_.heartbeat, limits::kWaitMax}));
  api::v1::HeartbeatReply message;
  auto held = read_held(request, message);
  host_.submit<api::v1::HeartbeatReply>(
      [this, id, held = std::move(held),
       message = std::move(message)](Turn& turn) mutable -> Result<api::v1::HeartbeatReply> {
        if (WorkerInfo* known = registry_.find(id); known != nullptr) known->ended = 0;
        extend(turn, id, held, message);
        return std::move(message);
      },
      [this, id, wait_until, is_draining = request.draining(),
       reply = std::move(reply)](Result<api::v1::HeartbeatReply> answer) mutable {
        if (!answer) {
          reply(answer.error());
          return;
        }
        const WorkerInfo* known = registry_.find(id);
        const bool has_news = answer.value().lost_size() > 0 || answer.value().cancelled_size() > 0 ||
                              known == nullptr || known->is_draining != is_draining ||
                              !known->move_to.empty();
        if (!has_news && !is_draining_ && executor_.now() < wait_until) {
          park_beat(id, wait_until, std::move(reply));
        } else {
          end_beat(id, std::move(answer.value()), std::move(reply));
        }
      });
}

// Its machine is about to be taken away, or likely to be.
void Service::note_notice(WorkerInfo& worker, const std::string& notice) {
  if (notice == worker.notice || notice.size() > kTextBytesMax) return;
  worker.notice = notice;
  if (notice.empty()) return;
  events_.add(executor_.now(), "worker", worker.id, "notice", notice);
  log_.warn("a worker's machine was told of its end", {{"worker", worker.id}, {"notice", notice}});
}

void Service::park_beat(const std::string& worker, Instant until, Reply<api::v1::HeartbeatReply> reply) {
  answer_beat(worker);  // one that came before this one and was committed with it
  const TimerId timer = executor_.post_at(until, [this, worker] { answer_beat(worker); });
  parked_beats_.emplace(worker, ParkedBeat{std::move(reply), timer});
}

void Service::answer_beat(const std::string& worker, const std::string& cancelled) {
  auto parked = parked_beats_.extract(worker);
  if (parked.empty()) return;
  executor_.cancel(parked.mapped().timer);
  api::v1::HeartbeatReply message;
  if (!cancelled.empty()) message.add_cancelled(cancelled);
  end_beat(worker, std::move(message), std::move(parked.mapped().reply));
}

void Service::end_beat(const std::string& worker, api::v1::HeartbeatReply message,
                       Reply<api::v1::HeartbeatReply> reply) {
  const WorkerInfo* known = registry_.find(worker);
  message.set_drain(known != nullptr && known->is_draining);
  if (known != nullptr) message.set_move_to(known->move_to);
  for (const auto& manager : managers()) message.add_managers(manager);
  reply(std::move(message));
}

void Service::cut_short(const std::string& worker) {
  host_.cut_short(worker);
  answer_beat(worker);
}

// Its lease is extended, or handed back, all the same: a worker shall not lose its work over it.
void Service::note_refused(const std::string& worker, const LeaseToken& token, const std::string& why) {
  log_.warn("a checkpoint is not taken", {{"worker", worker},
                                          {"lease", token.to_string()},
                                          {"why", why},
                                          LogField::if_any("trace_id", trace_id_of(token.task))});
}

void Service::acquire(api::v1::AcquireRequest request, IsWanted is_wanted, Reply<Granted> reply) {
  const Instant now = executor_.now();
  WorkerInfo* worker = registry_.heard(request.worker(), now);
  if (worker == nullptr) {
    reply(unknown_worker(request.worker()));
    return;
  }
  if (worker->is_draining) {
    reply(Granted{{}, 0, true});
    return;
  }
  if (request.lease_ms() != 0) {
    reply(fail(Code::kInvalid, "'lease_ms' is for managers: how long a lease lasts is said by this one"));
    return;
  }
  if (auto checked = check_names(request); !checked) {
    reply(checked.error());
    return;
  }
  ShardHost::Acquire acquire;
  acquire.command.worker = request.worker();
  acquire.command.max = std::clamp<std::uint32_t>(request.max(), 1, limits::kLeaseMax);
  acquire.command.lease = options_.lease;
  if (request.kinds_size() > 0) acquire.command.kinds.assign(request.kinds().begin(), request.kinds().end());
  acquire.command.programs.assign(request.programs().begin(), request.programs().end());
  const auto wait =
      milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(request.wait_ms(), 86'400'000)));
  acquire.wait_until = is_draining_ ? now : add_saturated(now, std::min<Duration>(wait, limits::kWaitMax));
  // It may have to drain, or be gone, by the time there is something.
  acquire.is_wanted = [this, id = request.worker(), is_wanted = std::move(is_wanted)]() mutable {
    const WorkerInfo* known = registry_.find(id);
    return known != nullptr && !known->is_draining && known->move_to.empty() && !is_draining_ &&
           (!is_wanted || is_wanted());
  };
  const auto lease_ms = static_cast<std::uint64_t>(duration_cast<milliseconds>(options_.lease).count());
  acquire.done = [this, id = request.worker(), lease_ms,
                  reply = std::move(reply)](Result<std::vector<GrantedLease>> granted) mutable {
    if (!granted) {
      reply(granted.error());
      return;
    }
    note_waits(granted.value());
    WorkerInfo* known = registry_.find(id);
    Granted answer{std::move(granted.value()), lease_ms, known != nullptr && known->is_draining};
    if (known != nullptr && !answer.leases.empty()) known->idle_since = kNoInstant;
    reply(std::move(answer));
  };
  host_.acquire(std::move(acquire));
}

void Service::learn(std::uint64_t run_us, const queue::Shard& shard, const TaskId& id,
                    const queue::Completed& completed) {
  // A part may have been done before, or all of it here: a worker may pass a checkpoint over.
  if (completed.is_duplicate || completed.resumed_from > 0) return;
  const auto spec = shard.spec_of(id);
  if (spec == nullptr) return;
  const double units = Speed::units(spec->kind, completed.iterations, completed.body_bytes);
  speed_.learn(spec->queue, spec->kind, spec->program, units, static_cast<double>(run_us) * 1e-6);
}

void Service::charge(const std::string& id, const queue::Shard& shard, const LeaseToken& token,
                     std::uint64_t run_us) {
  if (scaler_ == nullptr || scaler_->costs().price_hour() <= 0) return;
  const WorkerInfo* worker = registry_.find(id);
  if (worker == nullptr || worker->instance.empty()) return;
  const auto spec = shard.spec_of(token.task);
  if (spec == nullptr) return;
  scaler_->attempt_ended(worker->instance, token.task, *spec, static_cast<double>(run_us) * 1e-6);
}

void Service::note_run(std::uint64_t run_us) {
  if (run_us > 0) run_tally_.observe(static_cast<double>(run_us) * 1e-6);
}

SettledOutcome Service::settle(Turn& turn, const std::string& worker, Outcome& outcome) {
  SettledOutcome settled{std::move(outcome.lease), "ok", {}};
  const auto refuse = [&](std::string_view status, std::string detail) {
    settled.status = status;
    settled.detail = std::move(detail);
    return settled;
  };
  if (!outcome.token) return refuse("invalid", LeaseToken::parse(settled.lease).error().message);
  auto* shard = turn.shard(outcome.token->task.shard);
  if (shard == nullptr) return refuse("not_found", "there is no such task here");
  if (outcome.is_failed) {
    const auto failed =
        turn.apply(*shard, queue::Fail{worker, *outcome.token, outcome.error, outcome.is_permanent,
                                       outcome.is_timeout, outcome.usage});
    if (!failed) return refuse(code_name(failed.error().code), failed.error().message);
    note_run(outcome.run_us);
    charge(worker, *shard, *outcome.token, outcome.run_us);
    return settled;
  }
  if (outcome.result->size() > limits::kResultBytesMax)
    return refuse("invalid", "the result is larger than " + describe_bytes(limits::kResultBytesMax));
  const auto completed =
      turn.apply(*shard, queue::Complete{worker, *outcome.token, outcome.result, outcome.usage});
  if (!completed) return refuse(code_name(completed.error().code), completed.error().message);
  note_run(outcome.run_us);
  learn(outcome.run_us, *shard, outcome.token->task, completed.value());
  charge(worker, *shard, *outcome.token, outcome.run_us);
  return settled;
}

void Service::complete(Report report, Reply<Settled> reply) {
  if (auto checked = check_worker_id(report.worker); !checked) {
    reply(checked.error());
    return;
  }
  registry_.heard(report.worker, executor_.now());  // unknown is fine: a result is a result
  std::size_t bytes = report.outcomes.size() * kWaitingOutcomeBytes;
  for (const auto& outcome : report.outcomes) bytes += outcome.result ? outcome.result->size() : 0;
  if (complete_bytes_ + bytes > options_.waiting_bytes_max) {
    reply(
        fail(Code::kUnavailable, describe_bytes(complete_bytes_) + " of results wait for the store already"));
    return;
  }
  complete_bytes_ += bytes;
  host_.submit<Settled>(
      [this, report = std::move(report)](Turn& turn) mutable -> Result<Settled> {
        for (const auto& outcome : report.outcomes) {
          SKEP_TRY(check_served(turn, outcome.token));
        }
        Settled settled;
        settled.outcomes.reserve(report.outcomes.size());
        WorkerInfo* worker = registry_.find(report.worker);
        if (worker != nullptr) worker->ended += static_cast<std::uint32_t>(report.outcomes.size());
        for (auto& outcome : report.outcomes) {
          settled.outcomes.push_back(settle(turn, report.worker, outcome));
          const bool is_taken = settled.outcomes.back().status == "ok";
          if (worker != nullptr && is_taken) ++(outcome.is_failed ? worker->failed : worker->completed);
        }
        return settled;
      },
      [this, bytes, reply = std::move(reply)](Result<Settled> settled) mutable {
        complete_bytes_ -= bytes;
        reply(std::move(settled));
      });
}

void Service::release(api::v1::ReleaseRequest request, Reply<api::v1::ReleaseReply> reply) {
  if (auto checked = check_worker_id(request.worker()); !checked) {
    reply(checked.error());
    return;
  }
  registry_.heard(request.worker(), executor_.now());
  host_.submit<api::v1::ReleaseReply>(
      [this, request = std::move(request)](Turn& turn) -> Result<api::v1::ReleaseReply> {
        api::v1::ReleaseReply message;
        for (const auto& item : request.leases()) {
          const auto token = LeaseToken::parse(item.lease());
          SKEP_TRY(check_served(turn, token ? std::optional(token.value()) : std::nullopt));
        }
        for (const auto& item : request.leases()) {
          const auto token = LeaseToken::parse(item.lease());
          auto* shard = token ? turn.shard(token.value().task.shard) : nullptr;
          if (shard == nullptr) continue;
          // A refusal means that the lease is over already: what was asked for is the case.
          const auto released =
              turn.apply(*shard, queue::Release{request.worker(),
                                                token.value(),
                                                item.started(),
                                                {item.iterations_done(), item.checkpoint()}});
          if (!released) continue;
          message.set_released(message.released() + 1);
          const auto& why = released.value().checkpoint_refused;
          if (!why.empty()) note_refused(request.worker(), token.value(), why);
        }
        return message;
      },
      std::move(reply));
}

void Service::drain_worker_by_hand(std::string id, Reply<api::v1::Worker> reply) {
  if (registry_.find(id) == nullptr) {
    reply(fail(Code::kNotFound, "there is no worker '" + id.substr(0, 64) + "'"));
    return;
  }
  if (!registry_.find(id)->is_draining)
    decisions_.add_of_worker(executor_.now(), id, "drain", "asked",
                             {{"leases", std::to_string(leases_of(id))}},
                             "It is asked to drain, by a person or by another manager.");
  drain_worker(id);
  api::v1::Worker message;
  to_message(*registry_.find(id), leases_of(id), message);
  reply(std::move(message));
}

void Service::delete_worker(std::string id, std::string reason, Reply<api::v1::Worker> reply) {
  const WorkerInfo* worker = registry_.find(id);
  if (worker == nullptr) {
    reply(fail(Code::kNotFound, "there is no worker '" + id.substr(0, 64) + "'"));
    return;
  }
  api::v1::Worker message;
  to_message(*worker, leases_of(id), message);
  decisions_.add_of_worker(
      executor_.now(), id, "leave", "asked", {{"leases", std::to_string(message.leases())}},
      "It left: " + (reason.empty() ? "no reason given" : api::to_valid_utf8(reason)) + ".");
  log_.info("worker left", {{"worker", id}, {"reason", api::to_valid_utf8(reason)}});
  // It says itself that it goes, so nothing it only held is blamed; what it ran is.
  registry_.remove(id);
  if (message.leases() > 0) {
    // Answered when they are back for good: it was told that it may go.
    lose_worker({id, 0, "worker " + id + " left: " + (reason.empty() ? "no reason given" : reason), 0},
                [message = std::move(message), reply = std::move(reply)](Result<void> done) mutable {
                  if (done) {
                    reply(std::move(message));
                  } else {
                    reply(done.error());
                  }
                });
  } else {
    cut_short(id);
    events_.add(executor_.now(), "worker", id, "left", reason);
    reply(std::move(message));
  }
  if (scaler_ != nullptr) scaler_->poke();
}

void Service::list_workers(Reply<api::v1::WorkersReply> reply) {
  api::v1::WorkersReply message;
  for (const auto& [id, worker] : registry_.all()) to_message(worker, leases_of(id), *message.add_workers());
  reply(std::move(message));
}

void Service::get_worker(const std::string& id, Reply<api::v1::Worker> reply) {
  api::v1::Worker message;
  const WorkerInfo* worker = registry_.find(id);
  if (worker != nullptr) to_message(*worker, leases_of(id), message);
  for (const auto& shard : host_.shards()) {
    for (const auto& token : shard->leases_of(id)) {
      if (message.running_size() == kRunningShown) break;
      const auto record = shard->find(token.task);
      if (record) fill_running(*record, shard->progress_of(token.task), *message.add_running());
    }
  }
  reply(std::move(message));
}

void Service::note_waits(const std::vector<GrantedLease>& granted) {
  for (const auto& lease : granted) {
    waits_.note(executor_.now(), lease.task.waited);
    queue_waits_.note(executor_.now(), lease.task.queue, lease.task.waited);
    wait_tally_.observe(std::chrono::duration<double>(lease.task.waited).count());
  }
}

}  // namespace skep::manager
