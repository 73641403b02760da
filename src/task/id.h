// SPDX-License-Identifier: Apache-2.0
// id.h - the names of shards, tasks and leases.
//
// A task's id is (shard, epoch, sequence): the owner of the shard counts sequences within its epoch, and no
// two owners share an epoch, so ids never collide and need no randomness. The text form sorts by age within a
// shard and tells any manager which shard to ask.
//
// Threads:   value.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace skep {

using ShardId = std::uint16_t;
// Rises by one with each change of a shard's owner. 0 is no epoch.
using Epoch = std::uint32_t;

struct TaskId {
  ShardId shard = 0;
  Epoch epoch = 0;
  std::uint64_t sequence = 0;  // below 2^48

  auto operator<=>(const TaskId&) const = default;

  // 20 characters of lower-case base32 (Crockford's alphabet: no i, l, o, u).
  std::string to_string() const;
  // kInvalid with a sentence if `text` is not one.
  static Result<TaskId> parse(std::string_view text);
};

inline constexpr std::uint64_t kSequenceMax = (std::uint64_t{1} << 48) - 1;

// The right to one attempt. (epoch, number) is unique for a task: number counts its leases, epoch is that of
// the shard's owner who gave the lease. So a lease that was given and lost in a crash can not be given again.
struct LeaseToken {
  TaskId task;
  Epoch epoch = 0;
  std::uint32_t number = 0;  // from 1

  auto operator<=>(const LeaseToken&) const = default;

  // "TASK.EPOCH.NUMBER", decimal.
  std::string to_string() const;
  static Result<LeaseToken> parse(std::string_view text);
};

}  // namespace skep

template <>
struct std::hash<skep::TaskId> {
  std::size_t operator()(const skep::TaskId& id) const noexcept {
    // Sequences are dense: one multiplication (Fibonacci hashing) spreads them.
    const std::uint64_t high = (std::uint64_t{id.shard} << 32) | id.epoch;
    return static_cast<std::size_t>((id.sequence ^ (high << 20)) * 0x9e3779b97f4a7c15u);
  }
};
