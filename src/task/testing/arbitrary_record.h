// SPDX-License-Identifier: Apache-2.0
// arbitrary_record.h - records drawn from a seed, every field over its whole range; for tests.
//
// Threads:   any thread.
#pragma once

#include <algorithm>
#include <string>

#include "base/random.h"
#include "task/task.h"

namespace skep::testing {

inline std::string any_text(Random& random, std::size_t max) {
  std::string text(random.below(max + 1), '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

inline std::string any_name(Random& random) {
  static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789._-:";
  std::string name(1 + random.below(limits::kNameBytesMax), '\0');
  for (char& c : name) c = kAlphabet[random.below(kAlphabet.size())];
  return name;
}

// Small numbers as often as large ones: varints change their length at powers of 128.
inline std::uint64_t any_number(Random& random, std::uint64_t min, std::uint64_t max) {
  const std::uint64_t value = random.next() >> random.below(64);
  return std::clamp(random.chance(0.1) ? max : value, min, max);
}

inline Instant any_instant(Random& random) {
  if (random.chance(0.2)) return kNoInstant;
  if (random.chance(0.1)) return kNever;
  return Instant(Duration(static_cast<std::int64_t>(random.next() >> 1)));
}

inline TaskId any_id(Random& random) {
  return {static_cast<ShardId>(random.next()), static_cast<Epoch>(random.next()),
          any_number(random, 0, kSequenceMax)};
}

// One that the parser takes.
inline TraceContext any_trace(Random& random) {
  const auto hex = [&](std::size_t digits) {
    std::string text(digits, '1');
    for (char& c : text) c = "123456789abcdef"[random.below(15)];
    return text;
  };
  return {"00-" + hex(32) + "-" + hex(16) + "-01",
          random.chance(0.5) ? "" : "v@s=" + std::string(1 + random.below(200), 'x')};
}

inline TaskSpec any_spec(Random& random) {
  TaskSpec spec;
  spec.queue = any_name(random);
  if (random.chance(0.5)) {
    spec.iterations = any_number(random, 1, limits::kIterationsMax);
  } else {
    spec.kind = "command";
    spec.program = any_name(random);
    spec.parameters.resize(random.below(limits::kParametersMax + 1));
    for (auto& parameter : spec.parameters) parameter = any_name(random) + "=" + any_text(random, 40);
  }
  spec.priority = static_cast<std::uint32_t>(random.below(limits::kPriorityMax + 1));
  spec.attempts_max = 1 + static_cast<std::uint32_t>(random.below(limits::kAttemptsMaxMax));
  spec.delay = Duration(any_number(random, 0, static_cast<std::uint64_t>(limits::kDelayMax.count())));
  spec.start_deadline =
      Duration(any_number(random, 0, static_cast<std::uint64_t>(limits::kDelayMax.count())));
  spec.run_timeout =
      Duration(any_number(random, 0, static_cast<std::uint64_t>(limits::kRunTimeoutMax.count())));
  if (random.chance(0.5)) spec.idempotency_key = any_text(random, limits::kIdempotencyKeyBytesMax);
  spec.tags.resize(random.below(limits::kTagsMax + 1));
  for (auto& tag : spec.tags) tag = any_name(random);
  spec.keep_checkpoints = random.chance(0.5);
  if (random.chance(0.5)) spec.trace = any_trace(random);
  return spec;
}

inline AttemptError any_attempt_error(Random& random) {
  return {static_cast<std::uint32_t>(any_number(random, 0, 0xffffffff)),
          static_cast<AttemptEnd>(1 + random.below(5)), any_instant(random), any_text(random, 80),
          any_text(random, 200)};
}

inline Checkpoint any_checkpoint(Random& random) {
  return {any_number(random, 1, limits::kIterationsMax), any_text(random, limits::kCheckpointBytes),
          any_instant(random)};
}

inline TaskRecord any_task_record(Random& random) {
  TaskRecord r;
  r.id = any_id(random);
  r.spec = any_spec(random);
  r.state = static_cast<TaskState>(1 + random.below(6));
  r.body_bytes = any_number(random, 0, 0xffffffff);
  r.enqueued_at = any_instant(random);
  r.ready_at = any_instant(random);
  r.queued_at = any_instant(random);
  r.finished_at = any_instant(random);
  r.attempts_failed = static_cast<std::uint32_t>(any_number(random, 0, 0xffffffff));
  r.workers_lost = static_cast<std::uint32_t>(any_number(random, 0, 0xffffffff));
  r.errors.resize(random.below(limits::kErrorsKept + 1));
  for (auto& error : r.errors) error = any_attempt_error(random);
  r.reason = any_text(random, 200);
  r.lease_epoch = static_cast<Epoch>(any_number(random, 0, 0xffffffff));
  r.lease_number = static_cast<std::uint32_t>(any_number(random, 0, 0xffffffff));
  r.worker = any_text(random, 80);
  r.leased_at = any_instant(random);
  r.started_at = any_instant(random);
  r.lease_expires_at = any_instant(random);
  r.resumed_from = any_number(random, 0, limits::kIterationsMax);
  if (random.chance(0.5)) r.checkpoint = any_checkpoint(random);
  r.result_bytes = any_number(random, 0, 0xffffffff);
  r.result_hash = random.next();
  r.completion = any_number(random, 0, ~std::uint64_t{0});
  r.completion_epoch = static_cast<Epoch>(any_number(random, 0, 0xffffffff));
  r.delivered_at = any_instant(random);
  r.usage = {any_number(random, 0, ~std::uint64_t{0}), any_number(random, 0, ~std::uint64_t{0})};
  return r;
}

inline QueueRecord any_queue_record(Random& random) {
  const auto any_duration = [&] { return Duration(static_cast<std::int64_t>(random.next() >> 1)); };
  return {any_name(random),
          random.chance(0.5),
          any_number(random, 0, ~std::uint64_t{0}),
          any_number(random, 0, ~std::uint64_t{0}),
          any_duration(),
          any_number(random, 0, ~std::uint64_t{0}),
          any_duration()};
}

}  // namespace skep::testing
