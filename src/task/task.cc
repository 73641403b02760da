// SPDX-License-Identifier: Apache-2.0
#include "task/task.h"

#include <algorithm>
#include <array>

namespace skep {
namespace {

constexpr std::array<std::pair<TaskState, std::string_view>, 6> kStateNames{{
    {TaskState::kDelayed, "delayed"},
    {TaskState::kQueued, "queued"},
    {TaskState::kLeased, "leased"},
    {TaskState::kDone, "done"},
    {TaskState::kDead, "dead"},
    {TaskState::kCancelled, "cancelled"},
}};

bool is_unfinished(TaskState state) {
  return !is_terminal(state);
}

Error out_of_range(std::string_view field, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
  return fail(Code::kInvalid, std::string(field) + " is " + std::to_string(value) + "; it must be from " +
                                  std::to_string(low) + " to " + std::to_string(high));
}

Result<void> validate_duration(std::string_view field, Duration value, Duration max) {
  if (value >= Duration::zero() && value <= max) return ok();
  return fail(Code::kInvalid, std::string(field) + " must be from 0s to " + format_duration(max));
}

Result<void> validate_parameters(const TaskSpec& spec) {
  if (spec.parameters.empty()) return ok();
  if (spec.kind != "command") return fail(Code::kInvalid, "parameters are only for tasks of kind 'command'");
  if (spec.parameters.size() > limits::kParametersMax) {
    return fail(Code::kInvalid,
                "a task may have at most " + std::to_string(limits::kParametersMax) + " parameters");
  }
  std::vector<std::string_view> names;
  for (const std::string_view parameter : spec.parameters) {
    const auto equals = parameter.find('=');
    if (equals == std::string_view::npos) {
      return fail(Code::kInvalid, "parameter '" + std::string(parameter.substr(0, limits::kNameBytesMax)) +
                                      "' is not NAME=VALUE");
    }
    const std::string_view name = parameter.substr(0, equals);
    SKEP_TRY(validate_name("the name of a parameter", name));
    const std::string named = "parameter '" + std::string(name) + "' ";
    if (std::find(names.begin(), names.end(), name) != names.end())
      return fail(Code::kInvalid, named + "is given twice");
    if (parameter.size() - equals - 1 > limits::kParameterBytesMax) {
      return fail(Code::kInvalid,
                  named + "is longer than " + std::to_string(limits::kParameterBytesMax) + " bytes");
    }
    if (parameter.find('\0') != std::string_view::npos)
      return fail(Code::kInvalid, named + "has a zero byte, which no argument of a program can have");
    names.push_back(name);
  }
  return ok();
}

Result<void> validate_kind(const TaskSpec& spec) {
  if (spec.kind == "sha512") {
    if (spec.iterations < 1 || spec.iterations > limits::kIterationsMax) {
      return out_of_range("iterations", spec.iterations, 1, limits::kIterationsMax);
    }
    if (!spec.program.empty()) return fail(Code::kInvalid, "program is only for tasks of kind 'command'");
    return ok();
  }
  if (spec.kind == "command") {
    if (spec.iterations != 0) return fail(Code::kInvalid, "iterations is only for tasks of kind 'sha512'");
    return validate_name("program", spec.program);
  }
  return fail(Code::kInvalid,
              "kind '" + spec.kind.substr(0, limits::kNameBytesMax) + "' is unknown: use sha512 or command");
}

}  // namespace

std::string_view state_name(TaskState state) {
  for (const auto& [value, name] : kStateNames) {
    if (value == state) return name;
  }
  return "unknown";
}

std::optional<TaskState> parse_state(std::string_view name) {
  for (const auto& [value, text] : kStateNames) {
    if (text == name) return value;
  }
  return std::nullopt;
}

std::string_view event_name(TaskEvent event) {
  switch (event) {
    case TaskEvent::kDelayPassed:
      return "delay_passed";
    case TaskEvent::kLease:
      return "lease";
    case TaskEvent::kBackOff:
      return "back_off";
    case TaskEvent::kHandBack:
      return "hand_back";
    case TaskEvent::kComplete:
      return "complete";
    case TaskEvent::kGiveUp:
      return "give_up";
    case TaskEvent::kCancel:
      return "cancel";
    case TaskEvent::kRetryByHand:
      return "retry_by_hand";
  }
  return "unknown";
}

std::optional<TaskState> next_state(TaskState state, TaskEvent event) {
  const auto from = [&](bool allowed, TaskState to) { return allowed ? std::optional(to) : std::nullopt; };
  switch (event) {
    case TaskEvent::kDelayPassed:
      return from(state == TaskState::kDelayed, TaskState::kQueued);
    case TaskEvent::kLease:
      return from(state == TaskState::kQueued, TaskState::kLeased);
    case TaskEvent::kBackOff:
      return from(state == TaskState::kLeased, TaskState::kDelayed);
    case TaskEvent::kHandBack:
      return from(state == TaskState::kLeased, TaskState::kQueued);
    case TaskEvent::kComplete:
      return from(is_unfinished(state), TaskState::kDone);
    case TaskEvent::kGiveUp:
      return from(is_unfinished(state), TaskState::kDead);
    case TaskEvent::kCancel:
      return from(is_unfinished(state), TaskState::kCancelled);
    case TaskEvent::kRetryByHand:
      return from(state == TaskState::kDead, TaskState::kQueued);
  }
  return std::nullopt;
}

std::string_view attempt_end_name(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::kFailed:
      return "failed";
    case AttemptEnd::kRunTimeout:
      return "run_timeout";
    case AttemptEnd::kWorkerLost:
      return "worker_lost";
    case AttemptEnd::kLeaseExpired:
      return "lease_expired";
    case AttemptEnd::kReleased:
      return "released";
  }
  return "unknown";
}

Result<void> validate_name(std::string_view what, std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == ':';
  };
  if (name.empty() || name.size() > limits::kNameBytesMax ||
      !std::all_of(name.begin(), name.end(), is_allowed)) {
    return fail(Code::kInvalid, std::string(what) + " must be 1 to " + std::to_string(limits::kNameBytesMax) +
                                    " characters of a-z A-Z 0-9 . _ - :");
  }
  return ok();
}

Result<void> validate_checkpoint(const TaskSpec& spec, std::uint64_t iterations, std::string_view digest) {
  if (!keeps_checkpoints(spec)) {
    return fail(Code::kInvalid, spec.kind == "sha512" ? "the task keeps no checkpoints: its client wants none"
                                                      : "only tasks of kind 'sha512' have checkpoints");
  }
  if (digest.size() != limits::kCheckpointBytes) {
    return fail(Code::kInvalid, "the checkpoint has " + std::to_string(digest.size()) +
                                    " bytes; the digest of an iteration has " +
                                    std::to_string(limits::kCheckpointBytes));
  }
  if (iterations < 1 || iterations >= spec.iterations) {
    return fail(Code::kInvalid, "iterations_done is " + std::to_string(iterations) +
                                    "; a checkpoint lies after the first and before the last of the task's " +
                                    std::to_string(spec.iterations) + " iterations");
  }
  return ok();
}

Result<void> validate(const TaskSpec& spec) {
  SKEP_TRY(validate_name("queue", spec.queue));
  SKEP_TRY(validate_kind(spec));
  SKEP_TRY(validate_parameters(spec));
  if (spec.priority > limits::kPriorityMax)
    return out_of_range("priority", spec.priority, 0, limits::kPriorityMax);
  if (spec.attempts_max < 1 || spec.attempts_max > limits::kAttemptsMaxMax) {
    return out_of_range("max_attempts", spec.attempts_max, 1, limits::kAttemptsMaxMax);
  }
  SKEP_TRY(validate_duration("delay", spec.delay, limits::kDelayMax));
  SKEP_TRY(validate_duration("start_deadline", spec.start_deadline, limits::kDelayMax));
  SKEP_TRY(validate_duration("timeout", spec.run_timeout, limits::kRunTimeoutMax));
  if (spec.idempotency_key.size() > limits::kIdempotencyKeyBytesMax) {
    return fail(Code::kInvalid, "idempotency key is longer than " +
                                    std::to_string(limits::kIdempotencyKeyBytesMax) + " bytes");
  }
  if (spec.tags.size() > limits::kTagsMax) {
    return fail(Code::kInvalid, "a task may have at most " + std::to_string(limits::kTagsMax) + " tags");
  }
  for (const auto& tag : spec.tags) {
    SKEP_TRY(validate_name("tag", tag));
  }
  return ok();
}

}  // namespace skep
