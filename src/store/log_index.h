// SPDX-License-Identifier: Apache-2.0
// log_index.h - where in the log the present record, body and result of each task lie, and how much of each
// segment is still present.
//
// Sequences of an epoch are dense, so tasks stand in pages of 64 neighbours: 36 bytes a task and little
// more.
//
// Threads:   value; one executor at a time.
// Cost:      O(log pages) an item; the page used last costs nothing to find.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/log_frame.h"
#include "task/task.h"

namespace skep::store {

// Segments count from 1: a place in segment 0 is none.
struct Place {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;

  explicit operator bool() const { return segment != 0; }
  bool operator==(const Place&) const = default;
};

// Of an item of the frame that begins at `offset`.
inline Place place_of(std::uint32_t segment, std::uint64_t offset, const FrameItem& item) {
  return {segment, static_cast<std::uint32_t>(offset + item.at), item.head.length};
}

struct TaskPlaces {
  Place record;
  Place body;
  Place result;

  bool is_empty() const { return !record && !body && !result; }
};

// How many bytes of each segment are present ones.
class LiveBytes {
 public:
  void add(std::uint32_t segment, std::uint64_t bytes);
  void take(std::uint32_t segment, std::uint64_t bytes);
  std::uint64_t of(std::uint32_t segment) const;
  std::uint64_t total() const { return total_; }
  // Segments before `first` are gone.
  void forget_before(std::uint32_t first);

 private:
  std::uint32_t first_ = 1;
  std::deque<std::uint64_t> bytes_;
  std::uint64_t total_ = 0;
};

class LogIndex {
 public:
  explicit LogIndex(ShardId shard_count) : epochs_(shard_count) {}
  LogIndex(const LogIndex&) = delete;
  LogIndex& operator=(const LogIndex&) = delete;

  // Takes in an item at its place; what it replaces or removes is present no longer. `stored`: of a queue,
  // its record. kCorrupt: that can not be read, or there is no such shard.
  Result<void> apply(const ItemHead& head, const Place& place, std::string_view stored);

  // Nothing: empty places.
  TaskPlaces find(const TaskId& id) const;
  Place find(const BlobKey& key) const;
  // Whether the item at this place is the present one.
  bool is_present(const ItemHead& head, const Place& place) const;

  Epoch epoch(ShardId shard) const { return epochs_[shard].epoch; }
  // As stored, by name.
  std::vector<std::string> queues(ShardId shard) const;
  // Up to `count` tasks of the shard after `after`, by id; from the first if `after` is null.
  std::vector<std::pair<TaskId, TaskPlaces>> tasks_after(ShardId shard, const TaskId* after,
                                                         std::size_t count) const;
  std::size_t task_count() const { return task_count_; }

  LiveBytes& live() { return live_; }
  const LiveBytes& live() const { return live_; }

 private:
  static constexpr std::uint64_t kPageTasks = 64;
  struct PageKey {
    ShardId shard = 0;
    Epoch epoch = 0;
    std::uint64_t number = 0;
    auto operator<=>(const PageKey&) const = default;
  };
  struct Page {
    std::array<TaskPlaces, kPageTasks> tasks;
    std::size_t used = 0;
  };
  struct Queue {
    std::string stored;
    Place place;
  };
  struct ShardEpoch {
    Epoch epoch = 0;
    Place place;
  };

  TaskPlaces* find_mutable(const TaskId& id);
  TaskPlaces& find_or_add(const TaskId& id);
  void drop_if_empty(const TaskId& id, TaskPlaces& places);
  void replace(Place& old, const Place& place);
  Result<void> apply_queue(const ItemHead& head, const Place& place, std::string_view stored);

  std::map<PageKey, Page> pages_;
  std::map<PageKey, Page>::iterator last_ = pages_.end();  // the page that was used last
  std::map<std::pair<ShardId, std::string>, Queue> queues_;
  std::vector<ShardEpoch> epochs_;
  LiveBytes live_;
  std::size_t task_count_ = 0;
};

}  // namespace skep::store
