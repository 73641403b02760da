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
  leased += other.leased;
  completed += other.completed;
  completed_iterations += other.completed_iterations;
  failed += other.failed;
  retried += other.retried;
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
  if (record.state == TaskState::kLeased) {  // every move is out of it
    progress_.erase(record.id);
    waits_there_.erase(record.id);
  }
  record.state = *next;
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
  return &add_queue(name);
}

// Precondition: it is not there.
Shard::Queue& Shard::add_queue(const std::string& name) {
  Queue& queue = queues_[name];
  queue.settings.name = name;
  const auto weight = options_.weights.find(name);
  if (weight != options_.weights.end()) queue.weight = std::max(1u, weight->second);
  return queue;
}

void Shard::drop_unused_queues() {
  leased_queue_ = nullptr;
  std::erase_if(queues_, [](const auto& entry) {
    const auto& by_state = entry.second.counts.by_state;
    return !entry.second.is_stored &&
           std::all_of(by_state.begin(), by_state.end(), [](auto n) { return n == 0; });
  });
}

std::size_t Shard::count_new(const Wanted& wanted) const {
  const auto is_new = [this](const auto& entry) { return !queues_.contains(entry.first); };
  return static_cast<std::size_t>(std::count_if(wanted.begin(), wanted.end(), is_new));
}

Result<void> Shard::check_room(const Wanted& wanted, Instant now) {
  const std::size_t added = count_new(wanted);
  if (queues_.size() + added <= limits::kQueuesMax) return ok();
  drop_unused_queues();
  const std::size_t used = queues_.size() - resting_queues(wanted, now).size();
  if (used + count_new(wanted) <= limits::kQueuesMax) return ok();
  return fail(Code::kExhausted, std::to_string(used) +
                                    " queues have unfinished tasks, results that nobody pulled or settings, "
                                    "and the limit is " +
                                    std::to_string(limits::kQueuesMax) +
                                    ": use one that exists, or pull the results of some");
}

// Those that could go, but for the ones that are wanted; the one that rests the longest first.
std::vector<std::string> Shard::resting_queues(const Wanted& wanted, Instant now) const {
  std::vector<std::pair<Instant, std::string>> found;
  for (const auto& [name, queue] : queues_) {
    const Counts& counts = queue.counts;
    const auto kept =
        counts.of(TaskState::kDone) + counts.of(TaskState::kDead) + counts.of(TaskState::kCancelled);
    const auto open =
        counts.of(TaskState::kDelayed) + counts.of(TaskState::kQueued) + counts.of(TaskState::kLeased);
    const bool is_resting = open + counts.undelivered == 0 && add_saturated(queue.last_end, kRestMin) <= now;
    if (is_resting && kept <= kRestingTasksMax && !queue.is_stored && !wanted.contains(name))
      found.emplace_back(queue.last_end, name);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  names.reserve(found.size());
  for (auto& [since, name] : found) names.push_back(std::move(name));
  return names;
}

// Precondition: check_room() agreed.
void Shard::make_room(const Wanted& wanted, Instant now, Effects& effects) {
  const std::size_t all = queues_.size() + count_new(wanted);
  if (all <= limits::kQueuesMax) return;
  // Some more than it takes, for it takes a look at all timers.
  constexpr std::size_t kAtOnce = limits::kQueuesMax / 10;
  const auto resting = resting_queues(wanted, now);
  std::set<std::string> going;
  std::vector<TaskId> ids;
  for (const auto& name : resting) {
    const bool is_enough = going.size() >= all - limits::kQueuesMax;
    if (is_enough && (going.size() >= kAtOnce || ids.size() >= kRestingTasksMax)) break;
    going.insert(name);
    for (const auto& [at, id] : queues_.at(name).delivered) ids.push_back(id);
  }
  for (const auto& [at, id] : timers_) {
    const auto state = tasks_.state_of(id);
    const bool has_ended = state == TaskState::kDead || state == TaskState::kCancelled;
    if (has_ended && going.contains(tasks_.spec_of(id)->queue)) ids.push_back(id);
  }
  for (const auto& id : ids) erase(id, effects);
  drop_unused_queues();
}

// ---- indexes ----

bool Shard::is_pullable(const TaskRecord& record) const {
  return record.state == TaskState::kDone && record.delivered_at == kNoInstant &&
         !in_delivery_.contains(record.id);
}

bool Shard::is_pullable(const DoneKey& key) const {
  const TaskId& id = std::get<TaskId>(key);
  return tasks_.is_undelivered(id) && !in_delivery_.contains(id);
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
    case TaskState::kDone:  // trim_retention() sees to it
      return kNever;
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
  if (record.state == TaskState::kLeased && record.workers_lost >= kSuspectAfter) suspects_leased_ += step;
  const bool is_queued = record.state == TaskState::kQueued;
  Work& all = is_queued ? queued_work_ : leased_work_;
  if (record.spec.kind == "sha512") {
    const std::uint64_t done = record.checkpoint ? record.checkpoint->iterations : 0;
    for (Work* work : {&all, is_queued ? &queue.hashes.queued : &queue.hashes.leased}) {
      work->tasks += step;
      work->iterations += step * (record.spec.iterations - done);
      work->bytes += step * record.body_bytes;
    }
    return;
  }
  const auto at = queue.others.try_emplace(ClassName(record.spec.kind, record.spec.program)).first;
  for (Work* work : {&all, is_queued ? &at->second.queued : &at->second.leased}) {
    work->tasks += step;
    work->others += step;
  }
  if (at->second.is_empty()) queue.others.erase(at);
}

void Shard::index(const TaskRecord& record) {
  Queue& queue = queue_of(record);
  count(record, queue, 1);
  if (is_terminal(record.state))
    queue.last_end = std::max({queue.last_end, record.finished_at, record.delivered_at});
  if (const Instant at = timer_of(record); at != kNever) timers_.insert({at, record.id});
  if (!record.spec.idempotency_key.empty())
    keys_[{record.spec.queue, record.spec.idempotency_key}] = record.id;
  if (record.state == TaskState::kQueued) {
    ++openings_;
    index_ready(record, queue);
  } else if (record.state == TaskState::kLeased) {
    leases_[record.worker].insert({record.leased_at, record.id});
  } else if (is_pullable(record)) {
    queue.undelivered.add({record.completion_epoch, record.completion, record.id});
  } else if (record.state == TaskState::kDone && record.delivered_at != kNoInstant) {
    index_delivered(record, queue);
  }
}

void Shard::unindex(const TaskRecord& record) {
  Queue& queue = queue_of(record);
  count(record, queue, -1);
  if (const Instant at = timer_of(record); at != kNever) timers_.erase({at, record.id});
  if (record.state == TaskState::kQueued) {
    unindex_ready(record, queue);
  } else if (record.state == TaskState::kLeased) {
    ++openings_;
    erase_from(leases_, record.worker, std::pair(record.leased_at, record.id));
  } else if (is_pullable(record)) {
    queue.undelivered.remove({record.completion_epoch, record.completion, record.id},
                             [this](const DoneKey& key) { return is_pullable(key); });
  } else if (record.state == TaskState::kDone && record.delivered_at != kNoInstant) {
    SKEP_CHECK(queue.delivered.front() == DeliveredKey(record.delivered_at, record.id),
               "delivered results go the oldest first");
    queue.delivered.pop_front();
    queue.delivered_bytes -= record.result_bytes + kKeptTaskBytes;
  }
}

void Shard::index_ready(const TaskRecord& record, Queue& queue) {
  const ClassName name(record.spec.kind, record.spec.program);
  const std::uint32_t rank = limits::kPriorityMax - record.spec.priority;
  const bool is_fresh = TaskTable::is_fresh(record);
  if (!is_fresh) queue.waiting_since.insert({record.queued_at, record.id});
  if (record.workers_lost >= kSuspectAfter) {
    queue.suspects[name].insert({rank, record.id});
    return;
  }
  ReadyClass& ready = queue.ready[name];
  ++ready.waiting;
  if (is_fresh) {
    ready.lines[rank].add(record.id);
  } else {
    ready.lines[rank].add_back(record.id);
  }
}

void Shard::unindex_ready(const TaskRecord& record, Queue& queue) {
  const ClassName name(record.spec.kind, record.spec.program);
  const std::uint32_t rank = limits::kPriorityMax - record.spec.priority;
  if (!TaskTable::is_fresh(record)) queue.waiting_since.erase({record.queued_at, record.id});
  if (record.workers_lost >= kSuspectAfter) {
    erase_from(queue.suspects, name, ReadyKey(rank, record.id));
    return;
  }
  const auto at = queue.ready.find(name);
  if (--at->second.waiting == 0) {
    queue.ready.erase(at);
    return;
  }
  const auto line = at->second.lines.find(rank);
  line->second.remove(record.id, [this](const TaskId& id) { return tasks_.is_queued(id, kSuspectAfter); });
  if (line->second.empty()) at->second.lines.erase(line);
}

// Mostly the newest.
void Shard::index_delivered(const TaskRecord& record, Queue& queue) {
  const DeliveredKey key(record.delivered_at, record.id);
  auto& delivered = queue.delivered;
  if (delivered.empty() || delivered.back() < key) {
    delivered.push_back(key);
  } else {
    delivered.insert(std::upper_bound(delivered.begin(), delivered.end(), key), key);
  }
  queue.delivered_bytes += record.result_bytes + kKeptTaskBytes;
}

void Shard::put(TaskRecord record, Effects& effects, bool is_durable, Blob body, Blob result) {
  effects.changes.push_back(PutTask{std::move(record), std::move(body), std::move(result)});
  effects.needs_sync |= is_durable;
}

void Shard::erase(TaskId id, Effects& effects) {
  const TaskRecord record = tasks_.at(id);
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
  const auto found = queues_.find(record.name);
  Queue& queue = found != queues_.end() ? found->second : add_queue(record.name);
  queue.settings = std::move(record);
  queue.is_stored = true;
}

void Shard::load(TaskRecord record) {
  SKEP_CHECK(record.id.shard == id_ && record.id.epoch < epoch_,
             "a stored task is of this shard and of an earlier epoch");
  // Not make_queue: what is stored is kept, whatever the limit says now.
  if (!queues_.contains(record.spec.queue)) add_queue(record.spec.queue);
  SKEP_CHECK(!tasks_.contains(record.id), "a task is loaded once");
  tasks_.set(record);
}

void Shard::finish_load(Instant now) {
  // By id they come in no order of their results.
  std::vector<DoneKey> done;
  std::vector<DeliveredKey> delivered;
  std::vector<TaskRecord> leased;
  tasks_.visit_all([&](TaskRecord record) {
    if (record.state == TaskState::kLeased) {
      leased.push_back(std::move(record));
    } else if (record.state != TaskState::kDone) {
      index(record);
    } else if (record.delivered_at != kNoInstant) {
      delivered.emplace_back(record.delivered_at, record.id);
    } else {
      done.emplace_back(record.completion_epoch, record.completion, record.id);
    }
    return true;
  });
  for (auto& record : leased) {
    record.lease_expires_at = std::max(record.lease_expires_at, add_saturated(now, options_.recovered_lease));
    last_leased_at_ = std::max(last_leased_at_, record.leased_at);
    tasks_.set(record);
    index(record);
  }
  std::sort(done.begin(), done.end());
  for (const auto& key : done) index(tasks_.at(std::get<TaskId>(key)));
  std::sort(delivered.begin(), delivered.end());
  for (const auto& [at, id] : delivered) index(tasks_.at(id));
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
  for (auto& [name, queue] : queues_)
    events += trim_retention(queue, now, events_max - std::min(events, events_max), effects);
}

void Shard::on_timer(TaskRecord record, Instant now, Effects& effects) {
  switch (record.state) {
    case TaskState::kDelayed:
      update(record, [&](TaskRecord& r) {
        move(r, TaskEvent::kDelayPassed);
        r.queued_at = r.ready_at;
      });
      put(record, effects, false);  // soft: after a crash the delay has passed all the same
      effects.notices.push_back({NoticeKind::kReturned, record.id, {}});
      return;
    case TaskState::kQueued: {
      VerdictInput input;
      input.is_too_late = true;
      const std::string late = "it was not started within " + describe_duration(record.spec.start_deadline);
      rule_on(record, input, late, effects);
      die(record, late, now, effects);
      return;
    }
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

Instant Shard::oldest_in(const Queue& queue) const {
  Instant oldest = queue.waiting_since.empty() ? kNever : queue.waiting_since.begin()->first;
  for (const auto& [name, ready] : queue.ready) {
    for (const auto& [rank, line] : ready.lines) {
      if (const TaskId* first = line.first_new()) oldest = std::min(oldest, tasks_.queued_at(*first));
    }
  }
  return oldest;
}

Instant Shard::oldest_queued_at() const {
  Instant oldest = kNever;
  for (const auto& [name, queue] : queues_) oldest = std::min(oldest, oldest_in(queue));
  return oldest == kNever ? kNoInstant : oldest;
}

std::vector<QueueStatus> Shard::queues() const {
  std::vector<QueueStatus> all;
  all.reserve(queues_.size());
  for (const auto& [name, queue] : queues_) {
    const Instant oldest = oldest_in(queue);
    all.push_back({queue.settings, queue.counts, oldest == kNever ? kNoInstant : oldest});
  }
  return all;
}

std::vector<std::pair<std::string, std::uint64_t>> Shard::full_queues() const {
  std::vector<std::pair<std::string, std::uint64_t>> full;
  for (const auto& [name, queue] : queues_) {
    if (queue.settings.depth_max != 0 && queue.depth() >= queue.settings.depth_max)
      full.emplace_back(name, queue.depth());
  }
  return full;
}

ListReply Shard::list(const ListTasks& query) const {
  ListReply reply;
  std::size_t scanned = 0;
  TaskId last = query.after;
  tasks_.visit_after(query.after, [&](TaskRecord record) {
    if (reply.tasks.size() >= query.limit || scanned >= kListScanMax) {
      reply.next = last;
      return false;
    }
    ++scanned;
    last = record.id;
    const auto& tags = record.spec.tags;
    const bool is_wanted =
        (!query.state || record.state == *query.state) &&
        (query.queue.empty() || record.spec.queue == query.queue) &&
        (query.tag.empty() || std::find(tags.begin(), tags.end(), query.tag) != tags.end());
    if (is_wanted) reply.tasks.push_back(std::move(record));
    return true;
  });
  return reply;
}

std::map<Shard::ClassName, std::map<std::uint32_t, std::vector<TaskId>>> Shard::ready_ids(
    const Queue& queue) const {
  std::map<ClassName, std::map<std::uint32_t, std::vector<TaskId>>> ids;
  for (const auto& [name, ready] : queue.ready) {
    std::uint64_t waiting = 0;
    for (const auto& [rank, line] : ready.lines) {
      ids[name][rank] = line.alive([this](const TaskId& id) { return tasks_.is_queued(id, kSuspectAfter); });
      SKEP_CHECK(
          !line.empty() && ids[name][rank].size() == line.size() && ids[name][rank].front() == line.front(),
          "a line knows who waits in it");
      waiting += line.size();
    }
    SKEP_CHECK(waiting == ready.waiting, "a class knows how many wait");
  }
  return ids;
}

void Shard::check_invariants() const {
  Shard fresh(id_, epoch_, Random(0), options_);
  for (const auto& [name, queue] : queues_) {
    fresh.queues_[name].settings = queue.settings;
    fresh.queues_[name].is_stored = queue.is_stored;
  }
  fresh.in_delivery_ = in_delivery_;
  std::vector<TaskRecord> records;
  tasks_.visit_all([&](TaskRecord record) {
    fresh.tasks_.set(record);
    records.push_back(std::move(record));
    return true;
  });
  for (const auto& record : records) fresh.index(record);
  SKEP_CHECK(fresh.timers_ == timers_, "timers follow from the records");
  SKEP_CHECK(fresh.keys_ == keys_, "idempotency keys follow from the records");
  SKEP_CHECK(fresh.leases_ == leases_, "leases by worker follow from the records");
  SKEP_CHECK(fresh.counts_.by_state == counts_.by_state && fresh.counts_.undelivered == counts_.undelivered,
             "counts follow from the records");
  SKEP_CHECK(fresh.queued_work_.tasks == queued_work_.tasks &&
                 fresh.queued_work_.iterations == queued_work_.iterations &&
                 fresh.leased_work_.tasks == leased_work_.tasks &&
                 fresh.leased_work_.bytes == leased_work_.bytes && fresh.suspects_leased_ == suspects_leased_,
             "work follows from the records");
  for (const auto& [name, queue] : queues_) {
    const auto& other = fresh.queues_.at(name);
    SKEP_CHECK(ready_ids(queue) == fresh.ready_ids(other) && other.suspects == queue.suspects,
               "ready lines follow from the records");
    const auto is_waiting = [this](const DoneKey& key) { return is_pullable(key); };
    SKEP_CHECK(other.hashes == queue.hashes && other.others == queue.others,
               "work of a class follows from the records");
    SKEP_CHECK(other.undelivered.alive(is_waiting) == queue.undelivered.alive(is_waiting) &&
                   other.delivered == queue.delivered && other.delivered_bytes == queue.delivered_bytes &&
                   other.waiting_since == queue.waiting_since,
               "results follow from the records");
  }
  for (const auto& record : records) {
    SKEP_CHECK(record.attempts_failed <= record.spec.attempts_max, "attempts stay within their limit");
    SKEP_CHECK(record.workers_lost <= limits::kWorkersLostMax, "the infrastructure budget is kept");
  }
  for (const auto& [id, progress] : progress_)
    SKEP_CHECK(tasks_.state_of(id) == TaskState::kLeased, "progress is of a task that is leased");
  for (const auto& id : waits_there_)
    SKEP_CHECK(tasks_.state_of(id) == TaskState::kLeased, "what waits in a worker is leased");
  for (const auto& [id, receipt] : in_delivery_)
    SKEP_CHECK(receipts_.contains(receipt), "a delivery has its receipt");
}

}  // namespace skep::queue
