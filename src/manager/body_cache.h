// SPDX-License-Identifier: Apache-2.0
// body_cache.h - recent bodies in memory, so that a lease need not read what was just written.
//
// A body is held from its enqueue on. Until the store has it, it can be had nowhere else, so it stays; then
// it goes when its task is over, or when there are too many bytes, the oldest first.
//
// Threads:   one executor at a time.
// Units:     sizes are bytes.
// Cost:      constant a body, on average.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "task/id.h"

namespace skep::manager {

class BodyCache {
 public:
  using Blob = std::shared_ptr<const std::string>;

  explicit BodyCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // `body` is not null; `id` was not added before.
  void add(const TaskId& id, Blob body);
  void forget(const TaskId& id);
  void clear();
  // Null if it is not here.
  Blob find(const TaskId& id) const;

  // What was added until now is on its way to the store: a mark for settle().
  std::uint64_t mark() const { return added_; }
  // All that was added before `mark` is stored, and may go.
  void settle(std::uint64_t mark);

  std::size_t bytes() const { return bytes_; }  // with kEntryBytes for each

  static constexpr std::size_t kEntryBytes = 200;  // of memory beside the body itself, as measured

 private:
  static std::size_t size_of(const Blob& body) { return body->size() + kEntryBytes; }

  const std::size_t bytes_max_;
  boost::unordered_flat_map<TaskId, Blob, std::hash<TaskId>> bodies_;
  // By age; an id whose body is gone stays until it comes up, or until such are the majority.
  struct Entry {
    TaskId id;
    std::uint64_t number = 0;  // of added_
  };
  std::deque<Entry> order_;
  std::uint64_t added_ = 0;
  std::uint64_t settled_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace skep::manager
