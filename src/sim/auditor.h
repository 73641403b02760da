// SPDX-License-Identifier: Apache-2.0
// auditor.h - the independent record of what clients asked for and were told.
//
// An intent is one task that a client wants; it may be sent several times, and what came of it may be
// unknown. The auditor knows nothing of the core's data: ids reach it from replies, and from the bodies that
// are written to the disk.
//
// Threads:   one executor at a time.
// Ownership: owns its books; pointers into them hold until the end of the run.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "sim/task_text.h"
#include "task/task.h"

namespace skep::sim {

struct Intent {
  std::uint32_t number = 0;
  TaskSpec spec;
  std::string body;
  std::string result;          // what a worker must compute
  std::uint32_t arrivals = 0;  // at a manager
  std::uint32_t refusals = 0;  // by a manager that said it is not stored
  std::set<TaskId> ids;        // that were ever written for it
  std::optional<TaskId> acknowledged;
};

// What was promised about one task.
struct Promises {
  Intent* intent = nullptr;
  bool is_acknowledged = false;
  Instant ended_at = kNever;        // when a client or worker was first told that it is cancelled or done
  bool is_cancelled = false;        // a client was told so
  bool is_result_told = false;      // a worker or client was told that it is done
  std::uint32_t retries_asked = 0;  // by hand
  bool is_delivered_once = false;   // a pullCompleted carried it
  Instant delivered_at = kNever;    // when that, or an acknowledgement, was answered
  std::uint32_t failures_told = 0;  // failed outcomes that a manager took
  std::uint32_t failures_sent = 0;  // that reached a manager
  bool is_erased = false;           // its retention is over
};

class Auditor {
 public:
  Intent& intend(TaskSpec spec, Behaviour behaviour, std::uint64_t run_ms) {
    Intent& intent = intents_.emplace_back();
    intent.number = static_cast<std::uint32_t>(intents_.size() - 1);
    intent.spec = std::move(spec);
    intent.body = TaskText{intent.number, behaviour, run_ms}.to_body();
    intent.result = result_of(intent.body, intent.spec.iterations);
    return intent;
  }
  // Null: no client ever meant this body.
  Intent* of_body(std::string_view body) {
    const auto text = TaskText::parse(body);
    if (!text || text->intent >= intents_.size()) return nullptr;
    Intent& intent = intents_[text->intent];
    return intent.body == body ? &intent : nullptr;
  }
  // The books of a task, made if new.
  Promises& of(const TaskId& id) { return promises_[id]; }
  const std::map<TaskId, Promises>& all() const { return promises_; }
  std::map<TaskId, Promises>& all() { return promises_; }
  const std::deque<Intent>& intents() const { return intents_; }

 private:
  std::deque<Intent> intents_;
  std::map<TaskId, Promises> promises_;
};

}  // namespace skep::sim
