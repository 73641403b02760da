// SPDX-License-Identifier: Apache-2.0
// convert.h - between the nouns of task/ and the messages of the API.
//
// Threads:   any thread.
// Errors:    kInvalid with a sentence that names the field.
#pragma once

#include "api/skep.pb.h"
#include "base/result.h"
#include "task/access_token.h"
#include "task/task.h"

namespace skep::api {

// Options with their defaults filled in, validated (task/task.h validate).
Result<TaskSpec> to_spec(const v1::TaskOptions& options);
void from_spec(const TaskSpec& spec, v1::TaskOptions& out);

// What a client says about checkpoints; the kind must be known by then. kInvalid: the kind has none.
Result<void> set_checkpoints(TaskSpec& spec, bool are_kept);

// Everything but progress, result and explanation.
void from_record(const TaskRecord& record, v1::Task& out);

// `now`: whether it is still valid.
void from_token(const TokenRecord& record, Instant now, v1::Token& out);

// Settings only, not the counts.
void from_queue(const QueueRecord& record, v1::Queue& out);
// `record` with what `patch` gives. kInvalid: a value out of range.
Result<QueueRecord> patched(QueueRecord record, const v1::PatchQueueRequest& patch);

}  // namespace skep::api
