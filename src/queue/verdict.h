// SPDX-License-Identifier: Apache-2.0
// verdict.h - what becomes of a task whose attempt ended without a result: the rules, as one pure function.
//
// docs/task_states.md tells them in words. What was judged goes out with the effects, so that it can be told
// afterwards, and judged again.
//
// Threads:   values and a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "task/task.h"

namespace skep::queue {

// After so many lost workers a task is leased alone.
inline constexpr std::uint32_t kSuspectAfter = 2;

// All that a verdict rests on. Counts are with this attempt.
struct VerdictInput {
  AttemptEnd end = AttemptEnd::kFailed;
  bool is_permanent = false;  // a failure that said so itself
  bool has_begun = true;      // as far as is known
  bool has_advanced = false;  // it left a checkpoint beyond the one that it was given
  bool is_too_late = false;   // no attempt: the task was not started by its deadline
  std::uint32_t attempts_failed = 0;
  std::uint32_t attempts_max = 0;
  std::uint32_t workers_lost = 0;

  bool operator==(const VerdictInput&) const = default;
};

enum class Verdict : std::uint8_t {
  kRetry,       // again after a back-off
  kRequeue,     // again at once, at its old place
  kQuarantine,  // the same, and alone: it may be what kills workers
  kPark,        // dead, until somebody retries it by hand
};
std::string_view verdict_name(Verdict verdict);

enum class VerdictRule : std::uint8_t {
  kAttempts,   // the user's budget
  kPermanent,  // a failure that no retry can help
  kLosses,     // the infrastructure budget
  kAdvanced,   // an attempt that brought the task forward costs nothing
  kNotBegun,   // one that never ran costs nothing
  kDeadline,   // of the start
};
std::string_view rule_name(VerdictRule rule);

struct Ruling {
  Verdict verdict = Verdict::kRequeue;
  VerdictRule rule = VerdictRule::kLosses;

  bool operator==(const Ruling&) const = default;
};

Ruling judge(const VerdictInput& input);

// One verdict, as it was given.
struct TaskDecision {
  TaskId id;
  VerdictInput input;
  Ruling ruling;
  std::uint32_t attempt = 0;  // its number; 0: there was none
  std::string worker;         // that had it
  std::string message;        // what is known of the end; may be empty
  Instant ready_at{};         // of kRetry
};

}  // namespace skep::queue
