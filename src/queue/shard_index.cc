// SPDX-License-Identifier: Apache-2.0
// The indexes over the records, the timers, recovery, and the queries.
//
// Every change of a record goes through update(): out of all indexes, change, into all indexes. So an index
// can not be forgotten in one of the many places that change a task.
#include <algorithm>

#include "base/check.h"
#include "queue/shard.h"

namespace skep::queue {

Totals& Totals::operator+=(const Totals& other) {
  enqueued += other.enqueued;
  enqueued_iterations += other.enqueued_iterations;
  enqueued_others += other.enqueued_others;
  leased += other.leased;
  completed += other.completed;
  completed_iterations += other.completed_iterations;
  failed += other.failed;
  dead += other.dead;
  cancelled += other.cancelled;
  delivered += other.delivered;
  workers_lost += other.workers_lost;
  lease_expired += other.lease_expired;
  released += other.released;
  duplicate_results += other.duplicate_results;
  mismatches += other.mismatches;
  checkpoints += other.checkpoints;
  checkpoints_refused += other.checkpoints_refused;
  return *this;
}
namespace {

template <class Map, class Key, class Value>
void erase_from(Map& map, const Key& key, const Value& value) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  found->second.erase(value);
  if (found->second.empty()) map.erase(found);
}

}  // namespace

void Shard::move(TaskRecord& record, TaskEvent event) {
  const auto next = next_state(record.state, event);
  SKEP_CHECK(next.has_value(), "task " + record.id.to_string() + " is " +
                                   std::string(state_name(record.state)) + " and takes no event " +
                                   std::string(event_name(event)));
  if (record.state == TaskState::kLeased) progress_.erase(record.id);  // every move is out of it
  record.state = *next;
}

TaskRecord* Shard::find_task(const TaskId& id) {
  const auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

const TaskRecord* Shard::find(const TaskId& id) const {
  const auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

const QueueRecord* Shard::find_queue(const std::string& name) const {
  const auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second.settings;
}

Shard::Queue& Shard::queue_of(const TaskRecord& record) {
  return queues_.at(record.spec.queue);
}

Shard::Queue* Shard::make_queue(const std::string& name) {
  const auto found = queues_.find(name);
  if (found != queues_.end()) return &found->second;
  if (queues_.size() >= limits::kQueuesMax) return nullptr;
  auto& queue = queues_[name];
  queue.settings.name = name;
  return &queue;
}

void Shard::drop_unused_queues() {
  std::erase_if(queues_, [](const auto& entry) {
    const auto& by_state = entry.second.counts.by_state;
    return !entry.second.is_stored &&
           std::all_of(by_state.begin(), by_state.end(), [](auto n) { return n == 0; });
  });
}

// ---- indexes ----

bool Shard::is_pullable(const TaskRecord& record) const {
  return record.state == TaskState::kDone && record.delivered_at == kNoInstant &&
         !in_delivery_.contains(record.id);
}

Instant Shard::timer_of(const TaskRecord& record) const {
  const auto& settings = queues_.at(record.spec.queue).settings;
  switch (record.state) {
    case TaskState::kDelayed:
      return record.ready_at;
    case TaskState::kQueued: {
      const bool has_deadline =
          record.spec.start_deadline > Duration::zero() && record.leased_at == kNoInstant;
      return has_deadline ? add_saturated(record.ready_at, record.spec.start_deadline) : kNever;
    }
    case TaskState::kLeased: {
      if (record.spec.run_timeout == Duration::zero() || record.started_at == kNoInstant)
        return record.lease_expires_at;
      return std::min(record.lease_expires_at,
                      add_saturated(record.started_at, record.spec.run_timeout + kRunTimeoutGrace));
    }
    case TaskState::kDone:
      if (record.delivered_at == kNoInstant) return kNever;
      return add_saturated(record.delivered_at, std::max(settings.retention, kRetentionMin));
    case TaskState::kCancelled:
      return add_saturated(record.finished_at, settings.retention);
    case TaskState::kDead:
      return add_saturated(record.finished_at, settings.dead_retention);
  }
  return kNever;
}

void Shard::count(const TaskRecord& record, Queue& queue, std::int64_t by) {
  const auto step = static_cast<std::uint64_t>(by);  // wraps, and so subtracts
  for (Counts* counts : {&counts_, &queue.counts}) {
    counts->by_state[static_cast<std::size_t>(record.state)] += step;
    if (record.state == TaskState::kDone && record.delivered_at == kNoInstant) counts->undelivered += step;
  }
  if (record.state != TaskState::kQueued && record.state != TaskState::kLeased) return;
  Work& work = record.state == TaskState::kQueued ? queued_work_ : leased_work_;
  work.tasks += step;
  if (record.spec.kind == "sha512") {
    const std::uint64_t done = record.checkpoint ? record.checkpoint->iterations : 0;
    work.iterations += step * (record.spec.iterations - done);
    work.bytes += step * record.body_bytes;
  } else {
    work.others += step;
  }
}

void Shard::index(const TaskRecord& record) {
  Queue& queue = queue_of(record);
  count(record, queue, 1);
  if (const Instant at = timer_of(record); at != kNever) timers_.insert({at, record.id});
  if (!record.spec.idempotency_key.empty())
    keys_[{record.spec.queue, record.spec.idempotency_key}] = record.id;
  if (record.state == TaskState::kQueued) {
    auto& ready = record.workers_lost >= kSuspectAfter ? queue.suspects : queue.ready;
    ready[{record.spec.kind, record.spec.program}].insert(
        {limits::kPriorityMax - record.spec.priority, record.id});
    queue.waiting_since.insert({record.queued_at, record.id});
  } else if (record.state == TaskState::kLeased) {
    leases_[record.worker].insert({record.leased_at, record.id});
  } else if (is_pullable(record)) {
    queue.undelivered.insert({record.completion_epoch, record.completion, record.id});
  } else if (record.state == TaskState::kDone && record.delivered_at != kNoInstant) {
    queue.delivered.insert({record.delivered_at, record.id});
    queue.delivered_bytes += record.result_bytes;
  }
}

void Shard::unindex(const TaskRecord& record) {
  Queue& queue = queue_of(record);
  count(record, queue, -1);
  timers_.erase({timer_of(record), record.id});
  if (record.state == TaskState::kQueued) {
    auto& ready = record.workers_lost >= kSuspectAfter ? queue.suspects : queue.ready;
    erase_from(ready, ClassName(record.spec.kind, record.spec.program),
               ReadyKey(limits::kPriorityMax - record.spec.priority, record.id));
    queue.waiting_since.erase({record.queued_at, record.id});
  } else if (record.state == TaskState::kLeased) {
    erase_from(leases_, record.worker, std::pair(record.leased_at, record.id));
  } else if (is_pullable(record)) {
    queue.undelivered.erase({record.completion_epoch, record.completion, record.id});
  } else if (record.state == TaskState::kDone && record.delivered_at != kNoInstant) {
    queue.delivered.erase({record.delivered_at, record.id});
    queue.delivered_bytes -= record.result_bytes;
  }
}

void Shard::put(const TaskRecord& record, Effects& effects, bool is_durable, Blob body, Blob result) {
  effects.changes.push_back(PutTask{record, std::move(body), std::move(result)});
  effects.needs_sync |= is_durable;
}

void Shard::erase(TaskId id, Effects& effects) {
  const TaskRecord& record = tasks_.at(id);
  SKEP_CHECK(is_terminal(record.state), "only a finished task is forgotten");
  unindex(record);
  if (!record.spec.idempotency_key.empty()) keys_.erase({record.spec.queue, record.spec.idempotency_key});
  in_delivery_.erase(id);
  suspect_worker_.erase(id);
  tasks_.erase(id);
  effects.changes.push_back(EraseTask{id});  // soft: forgotten again after a crash
}

// ---- recovery ----

void Shard::load(QueueRecord record) {
  Queue& queue = queues_[record.name];
  queue.settings = std::move(record);
  queue.is_stored = true;
}

void Shard::load(TaskRecord record) {
  SKEP_CHECK(record.id.shard == id_ && record.id.epoch < epoch_,
             "a stored task is of this shard and of an earlier epoch");
  const TaskId id = record.id;
  auto& queue =
      queues_[record.spec.queue];  // not make_queue: what is stored is kept, whatever the limit says now
  if (queue.settings.name.empty()) queue.settings.name = record.spec.queue;
  const auto [at, is_new] = tasks_.emplace(id, std::move(record));
  SKEP_CHECK(is_new, "a task is loaded once");
}

void Shard::finish_load(Instant now) {
  for (auto& [id, record] : tasks_) {
    if (record.state == TaskState::kLeased) {
      record.lease_expires_at =
          std::max(record.lease_expires_at, add_saturated(now, options_.recovered_lease));
      last_leased_at_ = std::max(last_leased_at_, record.leased_at);
    }
    index(record);
  }
}

// ---- time ----

Instant Shard::wake_at() const {
  Instant wake = timers_.empty() ? kNever : timers_.begin()->first;
  if (!receipt_deadlines_.empty()) wake = std::min(wake, receipt_deadlines_.begin()->first);
  for (const auto& [name, queue] : queues_) wake = std::min(wake, next_trim(queue));
  return wake;
}

void Shard::tick(Instant now, std::size_t events_max, Effects& effects) {
  std::size_t events = 0;
  while (!timers_.empty() && timers_.begin()->first <= now && events < events_max) {
    ++events;
    on_timer(tasks_.at(timers_.begin()->second), now, effects);
  }
  while (!receipt_deadlines_.empty() && receipt_deadlines_.begin()->first <= now) {
    close_receipt(receipt_deadlines_.begin()->second);
  }
  for (auto& [name, queue] : queues_) trim_retention(queue, now, effects);
}

void Shard::on_timer(TaskRecord& record, Instant now, Effects& effects) {
  switch (record.state) {
    case TaskState::kDelayed:
      update(record, [&](TaskRecord& r) {
        move(r, TaskEvent::kDelayPassed);
        r.queued_at = r.ready_at;
      });
      put(record, effects, false);  // soft: after a crash the delay has passed all the same
      effects.notices.push_back({NoticeKind::kReturned, record.id, {}});
      return;
    case TaskState::kQueued:
      die(record, "it was not started within " + describe_duration(record.spec.start_deadline), now, effects);
      return;
    case TaskState::kLeased:
      on_lease_timer(record, now, effects);
      return;
    case TaskState::kDone:
    case TaskState::kDead:
    case TaskState::kCancelled:
      erase(record.id, effects);
      return;
  }
}

// ---- queries ----

Instant Shard::oldest_queued_at() const {
  Instant oldest = kNever;
  for (const auto& [name, queue] : queues_) {
    if (!queue.waiting_since.empty()) oldest = std::min(oldest, queue.waiting_since.begin()->first);
  }
  return oldest == kNever ? kNoInstant : oldest;
}

std::vector<QueueStatus> Shard::queues() const {
  std::vector<QueueStatus> all;
  all.reserve(queues_.size());
  for (const auto& [name, queue] : queues_) {
    const Instant oldest = queue.waiting_since.empty() ? kNoInstant : queue.waiting_since.begin()->first;
    all.push_back({queue.settings, queue.counts, oldest});
  }
  return all;
}

ListReply Shard::list(const ListTasks& query) const {
  ListReply reply;
  std::size_t scanned = 0;
  for (auto at = tasks_.upper_bound(query.after); at != tasks_.end(); ++at) {
    if (reply.tasks.size() >= query.limit || scanned >= kListScanMax) {
      reply.next = std::prev(at)->first;
      return reply;
    }
    ++scanned;
    const TaskRecord& record = at->second;
    if (query.state && record.state != *query.state) continue;
    if (!query.queue.empty() && record.spec.queue != query.queue) continue;
    const auto& tags = record.spec.tags;
    if (!query.tag.empty() && std::find(tags.begin(), tags.end(), query.tag) == tags.end()) continue;
    reply.tasks.push_back(record);
  }
  return reply;
}

void Shard::check_invariants() const {
  Shard fresh(id_, epoch_, Random(0), options_);
  for (const auto& [name, queue] : queues_) {
    fresh.queues_[name].settings = queue.settings;
    fresh.queues_[name].is_stored = queue.is_stored;
  }
  fresh.in_delivery_ = in_delivery_;
  fresh.tasks_ = tasks_;
  for (const auto& [id, record] : fresh.tasks_) fresh.index(record);
  SKEP_CHECK(fresh.timers_ == timers_, "timers follow from the records");
  SKEP_CHECK(fresh.keys_ == keys_, "idempotency keys follow from the records");
  SKEP_CHECK(fresh.leases_ == leases_, "leases by worker follow from the records");
  SKEP_CHECK(fresh.counts_.by_state == counts_.by_state && fresh.counts_.undelivered == counts_.undelivered,
             "counts follow from the records");
  SKEP_CHECK(fresh.queued_work_.tasks == queued_work_.tasks &&
                 fresh.queued_work_.iterations == queued_work_.iterations &&
                 fresh.leased_work_.tasks == leased_work_.tasks &&
                 fresh.leased_work_.bytes == leased_work_.bytes,
             "work follows from the records");
  for (const auto& [name, queue] : queues_) {
    const auto& other = fresh.queues_.at(name);
    SKEP_CHECK(other.ready == queue.ready && other.suspects == queue.suspects,
               "ready sets follow from the records");
    SKEP_CHECK(other.undelivered == queue.undelivered && other.delivered == queue.delivered &&
                   other.delivered_bytes == queue.delivered_bytes &&
                   other.waiting_since == queue.waiting_since,
               "results follow from the records");
  }
  for (const auto& [id, record] : tasks_) {
    SKEP_CHECK(record.attempts_failed <= record.spec.attempts_max, "attempts stay within their limit");
    SKEP_CHECK(record.workers_lost <= limits::kWorkersLostMax, "the infrastructure budget is kept");
  }
  for (const auto& [id, progress] : progress_)
    SKEP_CHECK(tasks_.at(id).state == TaskState::kLeased, "progress is of a task that is leased");
  for (const auto& [id, receipt] : in_delivery_)
    SKEP_CHECK(receipts_.contains(receipt), "a delivery has its receipt");
}

}  // namespace skep::queue
