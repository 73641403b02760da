// SPDX-License-Identifier: Apache-2.0
// task_table.h - the records of a shard's tasks in little memory.
//
// A queued task that nobody has leased takes 64 bytes here, since most of what its record says is either the
// same for many tasks (the spec, which is kept once) or not true yet (leases, results, errors, which are kept
// apart once there are any). Records go in and come out as values: what is kept is an affair of this file.
// Ids of an epoch are dense, so that tasks lie in pages by their sequence: a lookup is two steps, and order
// by id costs nothing.
//
// Threads:   one executor at a time.
// Ownership: owns what it keeps.
// Cost:      get, set, erase: constant, beside a map of one entry for 65,536 tasks.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "task/task.h"

namespace skep::queue {

// What tasks have in common, kept once. An entry that nobody uses goes when the pool has doubled.
class SpecPool {
 public:
  // `spec` without its iterations, which are the task's own.
  std::shared_ptr<const TaskSpec> share(const TaskSpec& spec);
  std::size_t size() const { return specs_.size(); }

 private:
  std::unordered_multimap<std::size_t, std::shared_ptr<const TaskSpec>> specs_;  // by hash
  std::shared_ptr<const TaskSpec> last_;
  std::size_t drop_at_ = 64;
};

// The same for names of workers.
class NamePool {
 public:
  std::shared_ptr<const std::string> share(const std::string& name);

 private:
  std::unordered_map<std::string, std::shared_ptr<const std::string>> names_;
  std::shared_ptr<const std::string> last_;
  std::size_t drop_at_ = 64;
};

class TaskTable {
 public:
  TaskTable() = default;

  bool contains(const TaskId& id) const { return find(id) != nullptr; }
  std::optional<TaskRecord> get(const TaskId& id) const;
  // Precondition: it is here.
  TaskRecord at(const TaskId& id) const;
  // Adds or replaces.
  void set(const TaskRecord& record);
  void erase(const TaskId& id);
  std::size_t size() const { return size_; }

  // Of one task, without making a record of it.
  std::optional<TaskState> state_of(const TaskId& id) const;  // nothing if there is no such task
  Instant queued_at(const TaskId& id) const;                  // precondition: it is here
  // As it was enqueued, without the iterations; null if there is no such task.
  std::shared_ptr<const TaskSpec> spec_of(const TaskId& id) const;
  std::uint32_t workers_lost(const TaskId& id) const;  // the same
  bool is_undelivered(const TaskId& id) const;         // done, and nobody has its result for good
  bool is_queued(const TaskId& id, std::uint32_t workers_lost_below) const;  // it, having lost fewer
  // Queued since it was enqueued: never leased, delayed or given up.
  static bool is_fresh(const TaskRecord& record) {
    return record.state == TaskState::kQueued && record.lease_number == 0 &&
           record.queued_at == record.enqueued_at;
  }

  // In the order of ids: `visit` gets each after `after`, and returns false to end.
  template <class Visit>
  void visit_after(const TaskId& after, Visit visit) const;
  template <class Visit>
  void visit_all(Visit visit) const {
    visit_after({}, visit);
  }

 private:
  // Errors, a reason, a checkpoint, what its programs used: what few tasks have.
  struct Rare {
    std::vector<AttemptError> errors;
    std::string reason;
    std::optional<Checkpoint> checkpoint;
    Usage usage{};
  };
  // What a task has once it was leased or is over.
  struct Course {
    std::shared_ptr<const std::string> worker;
    Instant leased_at{};
    Instant started_at{};
    Instant lease_expires_at{};
    Instant finished_at{};
    Instant delivered_at{};
    std::uint64_t resumed_from = 0;
    std::uint64_t result_hash = 0;
    std::uint64_t completion = 0;
    std::uint32_t result_bytes = 0;
    Epoch completion_epoch = 0;
    Epoch lease_epoch = 0;
    std::uint32_t lease_number = 0;
    std::unique_ptr<Rare> rare;
  };
  struct Slot {
    std::shared_ptr<const TaskSpec> spec;
    std::uint64_t iterations = 0;
    Instant enqueued_at{};
    Instant ready_at{};
    Instant queued_at{};
    std::unique_ptr<Course> course;
    std::uint32_t body_bytes = 0;
    TaskState state = TaskState::kQueued;
    std::uint8_t attempts_failed = 0;
    std::uint8_t workers_lost = 0;
  };
  static constexpr std::size_t kPageTasks = 64;
  static constexpr std::size_t kChunkPages = 1'024;
  static constexpr int kLeftOverMax = 8;  // a page of 4 KiB is not worth it for so few
  struct Page {
    std::uint64_t used = 0;  // a bit for each slot
    std::array<Slot, kPageTasks> slots;
  };
  struct Chunk {
    std::size_t pages_used = 0;
    std::array<std::unique_ptr<Page>, kChunkPages> pages;
  };
  struct ChunkKey {
    ShardId shard = 0;
    Epoch epoch = 0;
    std::uint64_t number = 0;  // sequence / (kPageTasks * kChunkPages)
    auto operator<=>(const ChunkKey&) const = default;
  };
  struct Place {
    ChunkKey chunk;
    std::size_t page = 0;
    std::size_t slot = 0;
  };

  static Place place_of(const TaskId& id);
  static TaskId id_at(const ChunkKey& key, std::size_t page, std::size_t slot) {
    return {key.shard, key.epoch, (key.number * kChunkPages + page) * kPageTasks + slot};
  }
  Slot* find(const TaskId& id) const;  // null if there is none
  Slot* find_left_over(const TaskId& id) const;
  void give_up_if_sparse(const ChunkKey& key, std::size_t page);
  Slot& make(const TaskId& id);
  TaskRecord to_record(const TaskId& id, const Slot& slot) const;
  void keep_course(const TaskRecord& record, Slot& slot);
  // Those left over with ids from `*next` on and below `id`.
  template <class Visit>
  bool visit_left_over(std::map<TaskId, Slot>::iterator& next, const TaskId& id, Visit& visit) const {
    for (; next != left_over_.end() && next->first < id; ++next) {
      if (!visit(to_record(next->first, next->second))) return false;
    }
    return true;
  }
  template <class Visit>
  bool visit_chunk(const ChunkKey& key, const Chunk& chunk, std::size_t first, Visit& visit) const;

  std::map<ChunkKey, std::unique_ptr<Chunk>> chunks_;
  mutable std::map<TaskId, Slot> left_over_;  // of pages that were given up; mutable as the pages' slots are
  std::optional<std::pair<ChunkKey, std::size_t>> newest_page_;
  mutable ChunkKey last_key_;  // the chunk that was looked at last: nearly always the next one too
  mutable Chunk* last_chunk_ = nullptr;
  std::size_t size_ = 0;
  SpecPool specs_;
  NamePool workers_;
};

// ---- visiting ----

// `first`: a task's number within the chunk.
template <class Visit>
bool TaskTable::visit_chunk(const ChunkKey& key, const Chunk& chunk, std::size_t first, Visit& visit) const {
  for (std::size_t page = first / kPageTasks; page < kChunkPages; ++page) {
    if (!chunk.pages[page]) continue;
    std::uint64_t used = chunk.pages[page]->used;
    if (page == first / kPageTasks) used &= ~std::uint64_t{0} << (first % kPageTasks);
    for (; used != 0; used &= used - 1) {
      const auto slot = static_cast<std::size_t>(std::countr_zero(used));
      if (!visit(to_record(id_at(key, page, slot), chunk.pages[page]->slots[slot]))) return false;
    }
  }
  return true;
}

template <class Visit>
void TaskTable::visit_after(const TaskId& after, Visit visit) const {
  const TaskId first{after.shard, after.epoch, after.sequence + 1};
  const Place place = place_of(first);
  auto left_over = left_over_.upper_bound(after);
  bool goes_on = true;
  auto in_order = [&](TaskRecord record) {
    goes_on = visit_left_over(left_over, record.id, visit) && visit(std::move(record));
    return goes_on;
  };
  for (auto at = chunks_.lower_bound(place.chunk); at != chunks_.end(); ++at) {
    const std::size_t from = at->first == place.chunk ? place.page * kPageTasks + place.slot : 0;
    if (!visit_chunk(at->first, *at->second, from, in_order)) return;
  }
  visit_left_over(left_over,
                  {std::numeric_limits<ShardId>::max(), std::numeric_limits<Epoch>::max(),
                   std::numeric_limits<std::uint64_t>::max()},
                  visit);
}

}  // namespace skep::queue
