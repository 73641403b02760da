// SPDX-License-Identifier: Apache-2.0
#include "queue/shard.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "queue/backoff.h"

namespace skep::queue {
namespace {

// The beginning of UTF-8 text, whole characters only: half of one would make every answer that holds it
// invalid.
std::string cut(const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

std::string_view notice_name(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::kEnqueued:
      return "enqueued";
    case NoticeKind::kLeased:
      return "leased";
    case NoticeKind::kDone:
      return "done";
    case NoticeKind::kDead:
      return "dead";
    case NoticeKind::kCancelled:
      return "cancelled";
    case NoticeKind::kBackedOff:
      return "backed_off";
    case NoticeKind::kReturned:
      return "returned";
    case NoticeKind::kRetried:
      return "retried";
    case NoticeKind::kMismatch:
      return "mismatch";
  }
  return "unknown";
}

Shard::Shard(ShardId id, Epoch epoch, Random random, ShardOptions options)
    : id_(id), epoch_(epoch), random_(random), options_(options) {
  SKEP_CHECK(epoch > 0, "a shard has an owner");
}

// ---- enqueue ----

Result<Shard::Wanted> Shard::check_tasks(const Enqueue& command) const {
  Wanted wanted;
  std::set<std::pair<std::string, std::string>> keys;
  for (std::size_t i = 0; i < command.items.size(); ++i) {
    const TaskSpec& spec = command.items[i].spec;
    if (auto valid = validate(spec); !valid) {
      if (command.items.size() == 1) return valid.error();
      return with_context(valid.error(), "task " + std::to_string(i));
    }
    const std::pair key(spec.queue, spec.idempotency_key);
    const bool is_new = spec.idempotency_key.empty() || (!keys_.contains(key) && keys.insert(key).second);
    wanted[spec.queue] += is_new ? 1 : 0;
  }
  for (const auto& [name, count] : wanted) {
    const auto found = queues_.find(name);
    if (found == queues_.end() || count == 0) continue;
    const auto& queue = found->second;
    const std::uint64_t depth = queue.depth();
    if (queue.settings.depth_max != 0 && depth + count > queue.settings.depth_max) {
      return fail(Code::kExhausted,
                  "queue '" + name + "' holds " + std::to_string(depth) + " waiting tasks and its limit is " +
                      std::to_string(queue.settings.depth_max) + ": try again when some are done");
    }
  }
  return wanted;
}

Result<void> Shard::check(const Enqueue& command, Instant now) {
  SKEP_TRY(const Wanted wanted, check_tasks(command));
  return check_room(wanted, now);
}

Result<EnqueueReply> Shard::apply(const Enqueue& command, Instant now, Effects& effects) {
  SKEP_TRY(const Wanted wanted, check_tasks(command));
  SKEP_TRY(check_room(wanted, now));
  make_room(wanted, now, effects);
  EnqueueReply reply;
  reply.reserve(command.items.size());
  for (const auto& item : command.items) reply.push_back(enqueue_one(item, now, effects));
  return reply;
}

Enqueued Shard::enqueue_one(const Enqueue::Item& item, Instant now, Effects& effects) {
  if (!item.spec.idempotency_key.empty()) {
    const auto known = keys_.find({item.spec.queue, item.spec.idempotency_key});
    if (known != keys_.end()) return {known->second, *tasks_.state_of(known->second), true};
  }
  SKEP_CHECK(next_sequence_ <= kSequenceMax, "sequences of an epoch are used up");
  TaskRecord record;
  record.id = TaskId{id_, epoch_, next_sequence_++};
  record.spec = item.spec;
  record.body_bytes = item.body ? item.body->size() : 0;
  record.enqueued_at = now;
  record.ready_at = add_saturated(now, item.spec.delay);
  record.state = item.spec.delay > Duration::zero() ? TaskState::kDelayed : TaskState::kQueued;
  record.queued_at = record.state == TaskState::kQueued ? now : kNoInstant;
  make_queue(record.spec.queue);
  tasks_.set(record);
  index(record);
  ++totals_.enqueued;
  static const auto kEmpty = std::make_shared<const std::string>();
  effects.notices.push_back({NoticeKind::kEnqueued, record.id, {}});
  const Enqueued enqueued{record.id, record.state, false};
  put(std::move(record), effects, true, item.body ? item.body : kEmpty);
  return enqueued;
}

// ---- the end of an attempt ----

bool Shard::was_issued(const TaskRecord& record, const LeaseToken& token) const {
  if (token.number < 1 || token.epoch < record.id.epoch) return false;  // before there was a task
  const bool is_known = token.epoch == record.lease_epoch && token.number <= record.lease_number;
  // Of an earlier owner: it may have given it and crashed before the lease was stored.
  return is_known || token.epoch < epoch_;
}

Result<TaskRecord> Shard::current_lease(const LeaseToken& token, std::string_view verb) {
  auto record = tasks_.get(token.task);
  if (!record) return fail(Code::kNotFound, "there is no task " + token.task.to_string());
  if (record->state != TaskState::kLeased || record->lease_token() != token) {
    return fail(Code::kStaleLease, "lease " + token.to_string() + " is over, so it can not " +
                                       std::string(verb) + ": the task is " +
                                       std::string(state_name(record->state)));
  }
  return std::move(*record);
}

Result<Completed> Shard::apply(const Complete& command, Instant now, Effects& effects) {
  auto record = tasks_.get(command.token.task);
  if (!record) return fail(Code::kNotFound, "there is no task " + command.token.task.to_string());
  if (!was_issued(*record, command.token)) {
    return fail(Code::kStaleLease, "lease " + command.token.to_string() + " was never given");
  }
  SKEP_CHECK(command.result != nullptr, "a completion carries a result");
  const std::uint64_t hash = fnv1a(*command.result);
  if (record->state == TaskState::kDone) {
    ++totals_.duplicate_results;
    if (record->result_hash == hash && record->result_bytes == command.result->size())
      return Completed{.is_duplicate = true};
    // Not deterministic: the first one stands.
    if (record->spec.kind != "sha512") return Completed{.is_duplicate = true};
    ++totals_.mismatches;
    effects.notices.push_back({NoticeKind::kMismatch, record->id, command.worker});
    return fail(Code::kConflict, "task " + record->id.to_string() + " has a different result already");
  }
  if (!next_state(record->state, TaskEvent::kComplete)) {
    return fail(Code::kConflict, "task " + record->id.to_string() + " is " +
                                     std::string(state_name(record->state)) + " and takes no result");
  }
  update(*record, [&](TaskRecord& r) {
    move(r, TaskEvent::kComplete);
    r.worker = command.worker;
    r.finished_at = now;
    r.result_bytes = command.result->size();
    r.result_hash = hash;
    r.completion = next_completion_++;
    r.completion_epoch = epoch_;
    r.checkpoint.reset();
    r.usage.add(command.usage);
  });
  ++totals_.completed;
  totals_.completed_iterations += record->spec.iterations;
  effects.notices.push_back({NoticeKind::kDone, record->id, command.worker});
  const Completed reply{false, record->spec.iterations, record->body_bytes, record->resumed_from};
  put(std::move(*record), effects, true, nullptr, command.result);
  effects.changes.push_back(EraseBody{command.token.task});
  return reply;
}

Result<Failed> Shard::apply(const Fail& command, Instant now, Effects& effects) {
  SKEP_TRY(auto record, current_lease(command.token, "fail"));
  const AttemptEnd end = command.is_timeout ? AttemptEnd::kRunTimeout : AttemptEnd::kFailed;
  update(record, [&](TaskRecord& r) { r.usage.add(command.usage); });
  end_attempt(record, {end, command.message, command.is_permanent}, now, effects);
  return Failed{record.state};
}

Result<Released> Shard::apply(const Release& command, Instant now, Effects& effects) {
  SKEP_TRY(auto record, current_lease(command.token, "be released"));
  ++totals_.released;
  Released reply;
  if (command.is_started) {
    if (const auto has_new = take_progress(record, command.progress, now); !has_new)
      reply.checkpoint_refused = has_new.error().message;
  }
  // A heartbeat may have told of a start before the first hash was done. Where checkpoints are kept the
  // release alone says whether there is anything to lose.
  const bool was_seen_to_start = record.started_at != kNoInstant && !keeps_checkpoints(record.spec);
  if (command.is_started || was_seen_to_start) {
    spend_infrastructure(record, AttemptEnd::kReleased, "the worker handed it back", now, effects);
  } else {
    hand_back_unstarted(record, {AttemptEnd::kReleased, "it was handed back"}, command.pause, now, effects);
  }
  reply.state = record.state;
  return reply;
}

// Of each of `held`, the oldest first: a worker starts its leases in the order in which it got them.
std::vector<bool> Shard::may_have_begun(const LoseWorker& command,
                                        const std::vector<LeaseToken>& held) const {
  std::vector<bool> out(held.size());
  std::uint32_t slots = command.slots;
  std::uint32_t commands = command.commands;
  const auto places = [&](const TaskRecord& record) -> std::uint32_t& {
    return record.spec.kind == "command" ? commands : slots;
  };
  for (std::size_t i = 0; i < held.size(); ++i) {
    const TaskRecord record = tasks_.at(held[i].task);
    if (record.started_at == kNoInstant) continue;
    out[i] = true;
    if (auto& left = places(record); left > 0) --left;
  }
  std::uint32_t ended = command.ended;
  for (std::size_t i = 0; i < held.size(); ++i) {
    const TaskRecord record = tasks_.at(held[i].task);
    auto& left = places(record);
    if (out[i] || left == 0) continue;
    if (waits_there_.contains(record.id)) {
      if (ended == 0) continue;
      --ended;
    }
    out[i] = true;
    --left;
  }
  return out;
}

LostWorker Shard::apply(const LoseWorker& command, Instant now, Effects& effects) {
  LostWorker reply;
  const auto held = leases_of(command.worker);
  const auto suspects = may_have_begun(command, held);
  for (std::size_t i = 0; i < held.size(); ++i) {
    TaskRecord record = tasks_.at(held[i].task);
    ++totals_.workers_lost;
    ++reply.returned;
    if (suspects[i]) {
      spend_infrastructure(record, AttemptEnd::kWorkerLost, command.message, now, effects);
    } else {
      hand_back_unstarted(record, {AttemptEnd::kWorkerLost, command.message}, {}, now, effects);
    }
  }
  return reply;
}

void Shard::remember_error(TaskRecord& record, AttemptEnd end, const std::string& message, Instant now) {
  record.errors.push_back(
      {record.lease_number, end, now, record.worker, cut(message, limits::kErrorBytesMax)});
  if (record.errors.size() > limits::kErrorsKept) record.errors.erase(record.errors.begin());
}

// The verdict on a record that counts the attempt already; it goes out with what is done about it.
Ruling Shard::rule_on(const TaskRecord& record, VerdictInput input, const std::string& message,
                      Effects& effects) {
  input.attempts_failed = record.attempts_failed;
  input.attempts_max = record.spec.attempts_max;
  input.workers_lost = record.workers_lost;
  const Ruling ruling = judge(input);
  effects.decisions.push_back({record.id, input, ruling, input.is_too_late ? 0 : record.lease_number,
                               input.is_too_late ? std::string() : record.worker,
                               cut(message, limits::kErrorBytesMax), kNoInstant});
  return ruling;
}

void Shard::end_attempt(TaskRecord& record, const Ending& ending, Instant now, Effects& effects) {
  ++totals_.failed;
  update(record, [&](TaskRecord& r) {
    ++r.attempts_failed;
    remember_error(r, ending.end, ending.message, now);
  });
  VerdictInput input;
  input.end = ending.end;
  input.is_permanent = ending.is_permanent;
  const Ruling ruling = rule_on(record, input, ending.message, effects);
  const std::string& message = record.errors.back().message;
  if (ruling.verdict == Verdict::kPark) {
    const std::string used_up = std::to_string(record.attempts_failed) + " of " +
                                std::to_string(record.spec.attempts_max) + " attempts failed; the last: ";
    const std::string permanent = "an attempt failed and said that a retry can not help: ";
    die(record, (ruling.rule == VerdictRule::kPermanent ? permanent : used_up) + message, now, effects);
    return;
  }
  ++totals_.retried;
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kBackOff);
    r.ready_at = now + backoff(r.attempts_failed, random_);
  });
  effects.decisions.back().ready_at = record.ready_at;
  put(record, effects, true);
  effects.notices.push_back({NoticeKind::kBackedOff, record.id, record.errors.back().message});
}

void Shard::spend_infrastructure(TaskRecord& record, AttemptEnd end, const std::string& message, Instant now,
                                 Effects& effects) {
  // An attempt that left a checkpoint of its own is no danger to its worker, and brought the task forward.
  VerdictInput input;
  input.end = end;
  input.has_advanced = record.checkpoint && record.checkpoint->iterations > record.resumed_from;
  update(record, [&](TaskRecord& r) {
    if (!input.has_advanced) ++r.workers_lost;
    remember_error(r, end, message, now);
  });
  if (rule_on(record, input, message, effects).verdict == Verdict::kPark) {
    die(record,
        "it was lost with its worker " + std::to_string(record.workers_lost) +
            " times, so it may be what kills them; the last: " + record.errors.back().message,
        now, effects);
    return;
  }
  hand_back(record, now, effects);
}

void Shard::hand_back(TaskRecord& record, Instant now, Effects& effects) {
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kHandBack);
    r.queued_at = now;
  });
  put(record, effects, true);
  effects.notices.push_back({NoticeKind::kReturned, record.id, record.worker});
}

// It never began, so its start deadline goes on.
void Shard::hand_back_unstarted(TaskRecord& record, const Ending& ending, Duration pause, Instant now,
                                Effects& effects) {
  VerdictInput input;
  input.end = ending.end;
  input.has_begun = false;
  rule_on(record, input, ending.message, effects);
  update(record, [](TaskRecord& r) { r.leased_at = kNoInstant; });
  if (pause <= Duration::zero()) return hand_back(record, now, effects);
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kBackOff);
    r.ready_at = add_saturated(now, pause);
  });
  put(record, effects, true);
  effects.notices.push_back({NoticeKind::kBackedOff, record.id, "it could not be handed out"});
}

void Shard::die(TaskRecord& record, std::string reason, Instant now, Effects& effects) {
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kGiveUp);
    r.finished_at = now;
    r.reason = std::move(reason);
  });
  ++totals_.dead;
  put(record, effects, true);
  effects.notices.push_back({NoticeKind::kDead, record.id, record.reason});
}

// ---- by hand ----

Result<TaskRecord> Shard::apply(const Cancel& command, Instant now, Effects& effects) {
  auto record = tasks_.get(command.id);
  if (!record) return fail(Code::kNotFound, "there is no task " + command.id.to_string());
  if (record->state == TaskState::kCancelled) return *record;
  if (!next_state(record->state, TaskEvent::kCancel)) {
    return fail(Code::kConflict, "task " + command.id.to_string() + " is " +
                                     std::string(state_name(record->state)) +
                                     " already, so it can not be cancelled");
  }
  update(*record, [&](TaskRecord& r) {
    move(r, TaskEvent::kCancel);
    r.finished_at = now;
    r.reason = "cancelled by a client";
    r.checkpoint.reset();
  });
  ++totals_.cancelled;
  put(*record, effects, true);
  effects.changes.push_back(EraseBody{record->id});
  effects.notices.push_back({NoticeKind::kCancelled, record->id, {}});
  return *record;
}

Result<TaskRecord> Shard::apply(const Retry& command, Instant now, Effects& effects) {
  auto record = tasks_.get(command.id);
  if (!record) return fail(Code::kNotFound, "there is no task " + command.id.to_string());
  if (!next_state(record->state, TaskEvent::kRetryByHand)) {
    return fail(Code::kConflict, "task " + command.id.to_string() + " is " +
                                     std::string(state_name(record->state)) +
                                     ": only a dead task can be retried");
  }
  ++totals_.retried;
  update(*record, [&](TaskRecord& r) {
    move(r, TaskEvent::kRetryByHand);
    r.attempts_failed = 0;
    r.workers_lost = 0;
    r.reason.clear();
    r.finished_at = kNoInstant;
    r.ready_at = now;
    r.queued_at = now;
    r.leased_at = kNoInstant;
  });
  put(*record, effects, true);
  effects.notices.push_back({NoticeKind::kRetried, record->id, {}});
  return *record;
}

Result<QueueRecord> Shard::apply(const SetQueue& command, Instant now, Effects& effects) {
  SKEP_TRY(validate_name("queue", command.record.name));
  const Wanted wanted{{command.record.name, 0}};
  SKEP_TRY(check_room(wanted, now));
  make_room(wanted, now, effects);
  Queue* queue = make_queue(command.record.name);
  SKEP_CHECK(queue != nullptr, "there is room for a queue");
  replace_settings(*queue, command.record);
  queue->is_stored = true;
  effects.changes.push_back(PutQueue{command.record});
  effects.needs_sync = true;
  return command.record;
}

void Shard::replace_settings(Queue& queue, const QueueRecord& settings) {
  ++openings_;
  const bool has_same_timers = queue.settings.retention == settings.retention &&
                               queue.settings.dead_retention == settings.dead_retention;
  std::vector<TaskRecord> finished;
  if (!has_same_timers) {
    tasks_.visit_all([&](TaskRecord record) {
      const bool has_timer = record.state == TaskState::kDead || record.state == TaskState::kCancelled;
      if (has_timer && record.spec.queue == settings.name) finished.push_back(std::move(record));
      return true;
    });
  }
  // Out under the old retention, in under the new one.
  for (const auto& record : finished) timers_.erase({timer_of(record), record.id});
  queue.settings = settings;
  for (const auto& record : finished) timers_.insert({timer_of(record), record.id});
}

}  // namespace skep::queue
