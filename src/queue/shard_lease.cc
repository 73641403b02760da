// SPDX-License-Identifier: Apache-2.0
// Giving leases, extending them, and what happens when they run out.
#include <algorithm>

#include "base/check.h"
#include "queue/shard.h"

namespace skep::queue {
namespace {

constexpr Duration kSuspectReservation = seconds(30);

}  // namespace

bool Shard::is_for(const TaskClass& task_class, const std::vector<std::string>& kinds,
                   const std::vector<std::string>& programs) {
  const auto has = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (!has(kinds, task_class.first)) return false;
  return task_class.first != "command" || has(programs, task_class.second);
}

std::optional<TaskId> Shard::best_in(const Queue& queue, const Lease& command, Pick pick) const {
  if (queue.settings.is_paused) return std::nullopt;
  if (queue.settings.leased_max != 0 && queue.counts.of(TaskState::kLeased) >= queue.settings.leased_max)
    return std::nullopt;
  std::optional<ReadyKey> best;
  const auto consider = [&](const ReadyKey& key) {
    if (!best || key < *best) best = key;
  };
  if (pick == Pick::kSuspects) {
    for (const auto& [task_class, keys] : queue.suspects) {
      if (is_for(task_class, command.kinds, command.programs)) consider(*keys.begin());
    }
  } else {
    for (const auto& [task_class, ready] : queue.ready) {
      if (!is_for(task_class, command.kinds, command.programs)) continue;
      const auto& [rank, line] = *ready.lines.begin();
      consider({rank, line.front()});
    }
  }
  return best ? std::optional(best->second) : std::nullopt;
}

std::optional<TaskId> Shard::next_candidate(const Lease& command, Pick pick) const {
  // One full turn over the queues, beginning after the one that was served last, or with it if its turn goes
  // on.
  auto at = turn_left_ > 0 ? queues_.lower_bound(last_queue_) : queues_.upper_bound(last_queue_);
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    if (at == queues_.end()) at = queues_.begin();
    if (const auto found = best_in(at->second, command, pick)) return found;
    ++at;
  }
  return std::nullopt;
}

Shard::SuspectRule Shard::lease_suspect(const Lease& command, Instant now, Effects& effects,
                                        LeaseReply& reply) {
  const auto held = leases_.find(command.worker);
  const bool is_empty = held == leases_.end();
  if (!is_empty && suspects_leased_ > 0) {
    const bool has_suspect = std::any_of(held->second.begin(), held->second.end(), [&](const auto& entry) {
      return tasks_.workers_lost(entry.second) >= kSuspectAfter;
    });
    if (has_suspect) return SuspectRule::kGiveNothing;
  }
  const auto suspect = next_candidate(command, Pick::kSuspects);
  if (!suspect) return SuspectRule::kGoOn;
  auto& [worker, until] = suspect_worker_[*suspect];
  const bool is_free = worker.empty() || worker == command.worker || until <= now;
  if (is_empty) {
    give(tasks_.at(*suspect), command, now, effects, reply);
    return SuspectRule::kGaveIt;
  }
  if (!is_free) return SuspectRule::kGoOn;
  // This worker gets nothing more until it is empty, then the suspect alone.
  if (worker != command.worker || until <= now) until = now + kSuspectReservation;
  worker = command.worker;
  return SuspectRule::kGiveNothing;
}

LeaseReply Shard::apply(const Lease& command, Instant now, Effects& effects) {
  LeaseReply reply;
  if (queued_work_.tasks == 0) return reply;
  if (lease_suspect(command, now, effects, reply) != SuspectRule::kGoOn) return reply;
  std::uint64_t bytes = 0;
  while (reply.size() < command.max && bytes < limits::kBatchBytesMax) {
    const auto next = next_candidate(command, Pick::kOthers);
    if (!next) break;
    give(tasks_.at(*next), command, now, effects, reply);
    bytes += reply.back().body_bytes;
  }
  return reply;
}

void Shard::give(TaskRecord record, const Lease& command, Instant now, Effects& effects, LeaseReply& reply) {
  const bool is_same_queue = leased_queue_ != nullptr && last_queue_ == record.spec.queue;
  if (!is_same_queue) {
    leased_queue_ = &queue_of(record);
    last_queue_ = record.spec.queue;
  }
  turn_left_ = is_same_queue && turn_left_ > 0 ? turn_left_ - 1 : leased_queue_->weight - 1;
  ++leased_queue_->leases_given;
  suspect_worker_.erase(record.id);
  last_leased_at_ = std::max(now, last_leased_at_ + Duration(1));
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kLease);
    r.lease_epoch = epoch_;
    ++r.lease_number;
    r.worker = command.worker;
    r.leased_at = last_leased_at_;
    r.started_at = kNoInstant;
    r.lease_expires_at = add_saturated(now, command.lease);
    r.resumed_from = r.checkpoint ? r.checkpoint->iterations : 0;
  });
  ++totals_.leased;
  effects.notices.push_back({NoticeKind::kLeased, record.id, command.worker});
  reply.push_back(
      {record.lease_token(), record.spec.queue, record.spec.kind, record.spec.iterations, record.spec.program,
       record.spec.run_timeout, record.body_bytes, keeps_checkpoints(record.spec), record.checkpoint,
       std::max(Duration::zero(), now - record.ready_at), record.spec.parameters, record.spec.trace});
  put(std::move(record), effects, false);
}

bool Shard::take_up(TaskRecord& record, const std::string& worker, const Extend::Held& held, Duration lease,
                    Instant now, Effects& effects) {
  const auto& token = held.token;
  // Numbers only rise, so that no later lease is given this name again.
  const bool is_newer =
      std::pair(token.epoch, token.number) > std::pair(record.lease_epoch, record.lease_number) &&
      token.epoch < epoch_ && token.number >= std::max(record.lease_number, 1u);
  if (record.state != TaskState::kQueued || !is_newer || !was_issued(record, token)) return false;
  last_leased_at_ = std::max(now, last_leased_at_ + Duration(1));
  update(record, [&](TaskRecord& r) {
    move(r, TaskEvent::kLease);
    r.lease_epoch = token.epoch;
    r.lease_number = token.number;
    r.worker = worker;
    r.leased_at = last_leased_at_;
    r.started_at = held.is_started ? now : kNoInstant;
    r.lease_expires_at = add_saturated(now, lease);
    r.resumed_from = r.checkpoint ? r.checkpoint->iterations : 0;
  });
  put(record, effects, false);
  effects.notices.push_back({NoticeKind::kLeased, record.id, worker});
  return true;
}

ExtendReply Shard::apply(const Extend& command, Instant now, Effects& effects) {
  ExtendReply reply;
  for (const auto& held : command.leases) {
    auto record = tasks_.get(held.token.task);
    if (!record) {
      reply.lost.push_back(held.token);
      continue;
    }
    if (record->state == TaskState::kCancelled) {
      reply.cancelled.push_back(held.token);
      continue;
    }
    extend_one(*record, command, held, now, effects, reply);
  }
  return reply;
}

void Shard::extend_one(TaskRecord& record, const Extend& command, const Extend::Held& held, Instant now,
                       Effects& effects, ExtendReply& reply) {
  if (record.state == TaskState::kLeased && record.lease_token() == held.token) {
    update(record, [&](TaskRecord& r) {
      r.worker = command.worker;  // a worker has a new id after it registered again
      if (held.is_started && r.started_at == kNoInstant) r.started_at = now;
      r.lease_expires_at = add_saturated(now, command.lease);
    });
  } else if (!take_up(record, command.worker, held, command.lease, now, effects)) {
    reply.lost.push_back(held.token);
    return;
  }
  if (!held.is_started) {
    waits_there_.insert(record.id);
    return;
  }
  waits_there_.erase(record.id);
  const auto has_new = take_progress(record, held.progress, now);
  if (!has_new) {
    reply.refused.push_back({held.token, has_new.error().message});
  } else if (has_new.value()) {
    put(record, effects, false);  // soft, as a lease: a lost one costs a repetition
  }
}

// Of the live lease. Whether there is a new checkpoint to be stored; kInvalid: one that the task can not go
// on from. Heartbeats may overtake each other, so that what is behind is passed over.
Result<bool> Shard::take_progress(TaskRecord& record, const Progress& progress, Instant now) {
  const std::uint64_t done = progress.iterations_done;
  if (record.spec.kind == "sha512" && done >= 1 && done <= record.spec.iterations) {
    RunProgress& known = progress_.try_emplace(record.id, RunProgress{done, now, done, now}).first->second;
    if (done >= known.iterations_done) {
      known.iterations_done = done;
      known.at = now;
    }
  }
  if (progress.checkpoint.empty()) return false;
  if (auto valid = validate_checkpoint(record.spec, done, progress.checkpoint); !valid) {
    ++totals_.checkpoints_refused;
    return valid.error();
  }
  if (record.checkpoint && record.checkpoint->iterations >= done) return false;
  update(record, [&](TaskRecord& r) { r.checkpoint = Checkpoint{done, progress.checkpoint, now}; });
  ++totals_.checkpoints;
  return true;
}

std::optional<RunProgress> Shard::progress_of(const TaskId& id) const {
  const auto found = progress_.find(id);
  return found == progress_.end() ? std::nullopt : std::optional(found->second);
}

void Shard::extend_all(Duration span) {
  std::vector<TaskId> leased;
  for (const auto& [worker, held] : leases_) {
    for (const auto& [at, id] : held) leased.push_back(id);
  }
  for (const TaskId& id : leased) {
    TaskRecord record = tasks_.at(id);
    update(record, [&](TaskRecord& r) { r.lease_expires_at = add_saturated(r.lease_expires_at, span); });
  }
}

bool Shard::has_queued_for(const std::vector<std::string>& kinds,
                           const std::vector<std::string>& programs) const {
  const auto is_fit = [&](const auto& entry) { return is_for(entry.first, kinds, programs); };
  return std::any_of(queues_.begin(), queues_.end(), [&](const auto& entry) {
    const Queue& queue = entry.second;
    return std::any_of(queue.ready.begin(), queue.ready.end(), is_fit) ||
           std::any_of(queue.suspects.begin(), queue.suspects.end(), is_fit);
  });
}

std::set<Shard::TaskClass> Shard::queued_classes() const {
  std::set<TaskClass> classes;
  for (const auto& [name, queue] : queues_) {
    for (const auto& entry : queue.ready) classes.insert(entry.first);
    for (const auto& entry : queue.suspects) classes.insert(entry.first);
  }
  return classes;
}

std::size_t Shard::lease_count(const std::string& worker) const {
  const auto found = leases_.find(worker);
  return found == leases_.end() ? 0 : found->second.size();
}

std::vector<LeaseToken> Shard::leases_of(const std::string& worker) const {
  std::vector<LeaseToken> tokens;
  const auto found = leases_.find(worker);
  if (found == leases_.end()) return tokens;
  for (const auto& [at, id] : found->second) tokens.push_back(tasks_.at(id).lease_token());
  return tokens;
}

void Shard::on_lease_timer(TaskRecord& record, Instant now, Effects& effects) {
  const bool has_run_out = record.spec.run_timeout > Duration::zero() && record.started_at != kNoInstant &&
                           record.started_at + record.spec.run_timeout + kRunTimeoutGrace <= now;
  if (has_run_out) {
    end_attempt(record,
                {AttemptEnd::kRunTimeout,
                 "it ran longer than its timeout of " + describe_duration(record.spec.run_timeout)},
                now, effects);
    return;
  }
  SKEP_CHECK(record.lease_expires_at <= now, "a lease timer is due");
  ++totals_.lease_expired;
  spend_infrastructure(record, AttemptEnd::kLeaseExpired, "the lease ran out: its worker was not heard from",
                       now, effects);
}

}  // namespace skep::queue
