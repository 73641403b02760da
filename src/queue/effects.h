// SPDX-License-Identifier: Apache-2.0
// effects.h - what a shard wants done after it changed its mind.
//
// The caller's duties, in this order:
//   1. Leases may be handed to workers at once: nothing waits for a lease to be durable.
//   2. `changes` go to the store as one commit, in order; durable if `needs_sync`, else soft.
//   3. Only when that commit has succeeded: every other reply of the batch, and the notices.
//   4. If it failed: every request of the batch fails, and the shard is loaded again before it serves.
//
// Threads:   value.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/boxed.h"
#include "queue/command.h"
#include "queue/verdict.h"
#include "task/task.h"

namespace skep::queue {

struct PutTask {
  Boxed<TaskRecord> record;
  Blob body;    // null: as stored
  Blob result;  // null: as stored
};
// The task is over and never runs again: its body goes, its record stays.
struct EraseBody {
  TaskId id;
};
struct EraseTask {
  TaskId id;
};
struct PutQueue {
  QueueRecord record;
};
using Change = std::variant<PutTask, EraseBody, EraseTask, PutQueue>;

// Something happened to a task: for waiters, events and logs.
enum class NoticeKind : std::uint8_t {
  kEnqueued,
  kLeased,
  kDone,
  kDead,
  kCancelled,
  kBackedOff,
  kReturned,
  kRetried,
  kMismatch,
};
std::string_view notice_name(NoticeKind kind);

struct Notice {
  NoticeKind kind = NoticeKind::kEnqueued;
  TaskId id;
  std::string detail;  // worker, reason; may be empty
};

struct Effects {
  std::vector<Change> changes;
  bool needs_sync = false;
  std::vector<Notice> notices;
  std::vector<TaskDecision> decisions;  // each goes with a change

  bool empty() const { return changes.empty() && notices.empty(); }
};

}  // namespace skep::queue
