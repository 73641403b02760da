// SPDX-License-Identifier: Apache-2.0
#include "queue/task_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

namespace skep::queue {
namespace {

// Of all that is_same_but_iterations() compares: clients may give each task a delay of its own.
std::size_t hash_of(const TaskSpec& spec) {
  std::uint64_t hash = fnv1a(spec.queue);
  const auto mix = [&hash](std::uint64_t more) { hash = (hash ^ hash >> 29) * 0x9e3779b97f4a7c15u + more; };
  for (const auto* text : {&spec.kind, &spec.program, &spec.idempotency_key, &spec.trace.parent})
    mix(fnv1a(*text));
  for (const auto* list : {&spec.tags, &spec.parameters})
    for (const auto& text : *list) mix(fnv1a(text));
  for (const Duration span : {spec.delay, spec.start_deadline, spec.run_timeout})
    mix(static_cast<std::uint64_t>(span.count()));
  mix(spec.priority);
  mix(spec.attempts_max);
  mix(spec.keep_checkpoints ? 1 : 0);
  return static_cast<std::size_t>(hash ^ hash >> 32);
}

bool is_same_but_iterations(const TaskSpec& a, const TaskSpec& b) {
  return a.priority == b.priority && a.attempts_max == b.attempts_max && a.delay == b.delay &&
         a.start_deadline == b.start_deadline && a.run_timeout == b.run_timeout &&
         a.keep_checkpoints == b.keep_checkpoints && a.queue == b.queue && a.kind == b.kind &&
         a.program == b.program && a.idempotency_key == b.idempotency_key && a.tags == b.tags &&
         a.parameters == b.parameters && a.trace == b.trace;
}

// Something that a task which was only enqueued has not.
bool has_run(const TaskRecord& r) {
  return r.lease_number != 0 || r.lease_epoch != 0 || is_terminal(r.state) || !r.worker.empty() ||
         r.leased_at != kNoInstant || r.started_at != kNoInstant || r.lease_expires_at != kNoInstant ||
         r.finished_at != kNoInstant || r.delivered_at != kNoInstant || r.resumed_from != 0 ||
         r.result_hash != 0 || r.result_bytes != 0 || r.completion != 0 || r.completion_epoch != 0;
}

template <class Map>
void drop_unused(Map& map, std::size_t& drop_at) {
  if (map.size() < drop_at) return;
  std::erase_if(map, [](const auto& entry) { return entry.second.use_count() == 1; });
  drop_at = std::max<std::size_t>(64, 2 * map.size());
}

}  // namespace

std::shared_ptr<const TaskSpec> SpecPool::share(const TaskSpec& spec) {
  if (last_ && is_same_but_iterations(*last_, spec)) return last_;
  const std::size_t hash = hash_of(spec);
  const auto [begin, end] = specs_.equal_range(hash);
  for (auto at = begin; at != end; ++at) {
    if (is_same_but_iterations(*at->second, spec)) return last_ = at->second;
  }
  auto kept = std::make_shared<TaskSpec>(spec);
  kept->iterations = 0;
  last_ = std::move(kept);
  specs_.emplace(hash, last_);
  drop_unused(specs_, drop_at_);
  return last_;
}

std::shared_ptr<const std::string> NamePool::share(const std::string& name) {
  if (last_ && *last_ == name) return last_;
  auto& kept = names_[name];
  if (!kept) kept = std::make_shared<const std::string>(name);
  last_ = kept;
  drop_unused(names_, drop_at_);
  return last_;
}

// ---- places ----

TaskTable::Place TaskTable::place_of(const TaskId& id) {
  const std::uint64_t page = id.sequence / kPageTasks;
  return {{id.shard, id.epoch, page / kChunkPages}, page % kChunkPages, id.sequence % kPageTasks};
}

TaskTable::Slot* TaskTable::find(const TaskId& id) const {
  const Place place = place_of(id);
  if (last_chunk_ == nullptr || last_key_ != place.chunk) {
    const auto found = chunks_.find(place.chunk);
    if (found == chunks_.end()) return find_left_over(id);
    last_key_ = place.chunk;
    last_chunk_ = found->second.get();
  }
  Page* page = last_chunk_->pages[place.page].get();
  if (page == nullptr || (page->used >> place.slot & 1) == 0) return find_left_over(id);
  return &page->slots[place.slot];
}

TaskTable::Slot* TaskTable::find_left_over(const TaskId& id) const {
  if (left_over_.empty()) return nullptr;
  const auto found = left_over_.find(id);
  return found == left_over_.end() ? nullptr : &found->second;
}

TaskTable::Slot& TaskTable::make(const TaskId& id) {
  const Place place = place_of(id);
  auto& chunk = chunks_[place.chunk];
  if (!chunk) chunk = std::make_unique<Chunk>();
  auto& page = chunk->pages[place.page];
  if (!page) {
    page = std::make_unique<Page>();
    ++chunk->pages_used;
    const auto before = std::exchange(newest_page_, std::pair(place.chunk, place.page));
    if (before && before != newest_page_) give_up_if_sparse(before->first, before->second);
  }
  page->used |= std::uint64_t{1} << place.slot;
  ++size_;
  return page->slots[place.slot];
}

void TaskTable::erase(const TaskId& id) {
  const Place place = place_of(id);
  const auto found = chunks_.find(place.chunk);
  Page* page = found == chunks_.end() ? nullptr : found->second->pages[place.page].get();
  const std::uint64_t bit = std::uint64_t{1} << place.slot;
  if (page == nullptr || (page->used & bit) == 0) {
    size_ -= left_over_.erase(id);
    return;
  }
  --size_;
  page->slots[place.slot] = Slot{};
  page->used &= ~bit;
  // The newest is still being filled.
  if (page->used == 0 || newest_page_ != std::pair(place.chunk, place.page))
    give_up_if_sparse(place.chunk, place.page);
}

void TaskTable::give_up_if_sparse(const ChunkKey& key, std::size_t number) {
  const auto found = chunks_.find(key);
  if (found == chunks_.end()) return;
  auto& page = found->second->pages[number];
  if (!page || std::popcount(page->used) > kLeftOverMax) return;
  for (; page->used != 0; page->used &= page->used - 1) {
    const auto slot = static_cast<std::size_t>(std::countr_zero(page->used));
    left_over_.emplace(id_at(key, number, slot), std::move(page->slots[slot]));
  }
  page.reset();
  if (--found->second->pages_used != 0) return;
  if (last_chunk_ == found->second.get()) last_chunk_ = nullptr;
  chunks_.erase(found);
}

// ---- records ----

std::optional<TaskState> TaskTable::state_of(const TaskId& id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? std::nullopt : std::optional(slot->state);
}

Instant TaskTable::queued_at(const TaskId& id) const {
  const Slot* slot = find(id);
  SKEP_CHECK(slot != nullptr, "task " + id.to_string() + " is in the table");
  return slot->queued_at;
}

std::shared_ptr<const TaskSpec> TaskTable::spec_of(const TaskId& id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? nullptr : slot->spec;
}

std::uint32_t TaskTable::workers_lost(const TaskId& id) const {
  const Slot* slot = find(id);
  SKEP_CHECK(slot != nullptr, "task " + id.to_string() + " is in the table");
  return slot->workers_lost;
}

bool TaskTable::is_undelivered(const TaskId& id) const {
  const Slot* slot = find(id);
  return slot != nullptr && slot->state == TaskState::kDone && slot->course->delivered_at == kNoInstant;
}

bool TaskTable::is_queued(const TaskId& id, std::uint32_t workers_lost_below) const {
  const Slot* slot = find(id);
  return slot != nullptr && slot->state == TaskState::kQueued && slot->workers_lost < workers_lost_below;
}

std::optional<TaskRecord> TaskTable::get(const TaskId& id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? std::nullopt : std::optional(to_record(id, *slot));
}

TaskRecord TaskTable::at(const TaskId& id) const {
  const Slot* slot = find(id);
  SKEP_CHECK(slot != nullptr, "task " + id.to_string() + " is in the table");
  return to_record(id, *slot);
}

TaskRecord TaskTable::to_record(const TaskId& id, const Slot& slot) const {
  TaskRecord record;
  record.id = id;
  record.spec = *slot.spec;
  record.spec.iterations = slot.iterations;
  record.state = slot.state;
  record.body_bytes = slot.body_bytes;
  record.enqueued_at = slot.enqueued_at;
  record.ready_at = slot.ready_at;
  record.queued_at = slot.queued_at;
  record.attempts_failed = slot.attempts_failed;
  record.workers_lost = slot.workers_lost;
  if (!slot.course) return record;
  const Course& course = *slot.course;
  if (course.worker) record.worker = *course.worker;
  record.leased_at = course.leased_at;
  record.started_at = course.started_at;
  record.lease_expires_at = course.lease_expires_at;
  record.finished_at = course.finished_at;
  record.delivered_at = course.delivered_at;
  record.resumed_from = course.resumed_from;
  record.result_hash = course.result_hash;
  record.completion = course.completion;
  record.result_bytes = course.result_bytes;
  record.completion_epoch = course.completion_epoch;
  record.lease_epoch = course.lease_epoch;
  record.lease_number = course.lease_number;
  if (!course.rare) return record;
  record.errors = course.rare->errors;
  record.reason = course.rare->reason;
  record.checkpoint = course.rare->checkpoint;
  record.usage = course.rare->usage;
  return record;
}

void TaskTable::set(const TaskRecord& record) {
  Slot* slot = find(record.id);
  const bool is_new = slot == nullptr;
  if (is_new) slot = &make(record.id);
  if (is_new || !is_same_but_iterations(*slot->spec, record.spec)) slot->spec = specs_.share(record.spec);
  slot->iterations = record.spec.iterations;
  slot->state = record.state;
  slot->body_bytes = static_cast<std::uint32_t>(record.body_bytes);
  slot->enqueued_at = record.enqueued_at;
  slot->ready_at = record.ready_at;
  slot->queued_at = record.queued_at;
  slot->attempts_failed = static_cast<std::uint8_t>(record.attempts_failed);
  slot->workers_lost = static_cast<std::uint8_t>(record.workers_lost);
  keep_course(record, *slot);
}

void TaskTable::keep_course(const TaskRecord& record, Slot& slot) {
  const bool has_rare =
      !record.errors.empty() || !record.reason.empty() || record.checkpoint || record.usage != Usage();
  if (!has_rare && !has_run(record)) {
    slot.course.reset();
    return;
  }
  if (!slot.course) slot.course = std::make_unique<Course>();
  Course& course = *slot.course;
  if (record.worker.empty()) {
    course.worker.reset();
  } else if (!course.worker || *course.worker != record.worker) {
    course.worker = workers_.share(record.worker);
  }
  course.leased_at = record.leased_at;
  course.started_at = record.started_at;
  course.lease_expires_at = record.lease_expires_at;
  course.finished_at = record.finished_at;
  course.delivered_at = record.delivered_at;
  course.resumed_from = record.resumed_from;
  course.result_hash = record.result_hash;
  course.completion = record.completion;
  course.result_bytes = static_cast<std::uint32_t>(record.result_bytes);
  course.completion_epoch = record.completion_epoch;
  course.lease_epoch = record.lease_epoch;
  course.lease_number = record.lease_number;
  if (!has_rare) {
    course.rare.reset();
    return;
  }
  if (!course.rare) course.rare = std::make_unique<Rare>();
  course.rare->errors = record.errors;
  course.rare->reason = record.reason;
  course.rare->checkpoint = record.checkpoint;
  course.rare->usage = record.usage;
}

}  // namespace skep::queue
