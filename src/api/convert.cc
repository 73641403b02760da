// SPDX-License-Identifier: Apache-2.0
#include "api/convert.h"

namespace skep::api {
namespace {

// Milliseconds that fit a Duration; what is longer is refused by the caller's range check.
Duration duration_from_ms(std::uint64_t ms) {
  const std::uint64_t most = static_cast<std::uint64_t>(duration_cast<milliseconds>(Duration::max()).count());
  return milliseconds(static_cast<std::int64_t>(ms > most ? most : ms));
}

std::uint64_t ms_from_duration(Duration duration) {
  return static_cast<std::uint64_t>(duration_cast<milliseconds>(duration).count());
}

}  // namespace

Result<TaskSpec> to_spec(const v1::TaskOptions& options) {
  TaskSpec spec;
  if (!options.queue().empty()) spec.queue = options.queue();
  if (!options.kind().empty()) spec.kind = options.kind();
  spec.iterations = options.iterations();
  spec.program = options.program();
  if (options.has_priority()) spec.priority = options.priority();
  if (options.max_attempts() != 0) spec.attempts_max = options.max_attempts();
  spec.delay = duration_from_ms(options.delay_ms());
  spec.start_deadline = duration_from_ms(options.start_deadline_ms());
  spec.run_timeout = duration_from_ms(options.timeout_ms());
  spec.idempotency_key = options.idempotency_key();
  spec.tags.assign(options.tags().begin(), options.tags().end());
  spec.parameters.assign(options.parameters().begin(), options.parameters().end());
  spec.trace = parse_trace_context(options.traceparent(), options.tracestate());
  if (options.has_checkpoint()) {
    SKEP_TRY(set_checkpoints(spec, options.checkpoint()));
  }
  SKEP_TRY(validate(spec));
  return spec;
}

Result<void> set_checkpoints(TaskSpec& spec, bool are_kept) {
  if (spec.kind != "sha512") return fail(Code::kInvalid, "checkpoint is only for tasks of kind 'sha512'");
  spec.keep_checkpoints = are_kept;
  return ok();
}

void from_spec(const TaskSpec& spec, v1::TaskOptions& out) {
  out.set_queue(spec.queue);
  out.set_kind(spec.kind);
  out.set_iterations(spec.iterations);
  out.set_program(spec.program);
  out.set_priority(spec.priority);
  out.set_max_attempts(spec.attempts_max);
  out.set_delay_ms(ms_from_duration(spec.delay));
  out.set_start_deadline_ms(ms_from_duration(spec.start_deadline));
  out.set_timeout_ms(ms_from_duration(spec.run_timeout));
  out.set_idempotency_key(spec.idempotency_key);
  for (const auto& tag : spec.tags) out.add_tags(tag);
  for (const auto& parameter : spec.parameters) out.add_parameters(parameter);
  out.set_traceparent(spec.trace.parent);
  out.set_tracestate(spec.trace.state);
  if (spec.kind == "sha512") out.set_checkpoint(spec.keep_checkpoints);
}

void from_record(const TaskRecord& record, v1::Task& out) {
  out.set_id(record.id.to_string());
  out.set_state(std::string(state_name(record.state)));
  from_spec(record.spec, *out.mutable_options());
  out.set_body_bytes(record.body_bytes);
  out.set_enqueued_at_ms(to_unix_ms(record.enqueued_at));
  out.set_ready_at_ms(to_unix_ms(record.ready_at));
  out.set_leased_at_ms(to_unix_ms(record.leased_at));
  out.set_started_at_ms(to_unix_ms(record.started_at));
  out.set_finished_at_ms(to_unix_ms(record.finished_at));
  if (record.state == TaskState::kLeased) out.set_lease_expires_at_ms(to_unix_ms(record.lease_expires_at));
  out.set_worker(record.worker);
  out.set_leases(record.lease_number);
  out.set_attempts_failed(record.attempts_failed);
  out.set_workers_lost(record.workers_lost);
  for (const auto& error : record.errors) {
    auto& item = *out.add_errors();
    item.set_number(error.number);
    item.set_end(std::string(attempt_end_name(error.end)));
    item.set_at_ms(to_unix_ms(error.at));
    item.set_worker(error.worker);
    item.set_message(error.message);
  }
  out.set_reason(record.reason);
  out.set_result_bytes(record.result_bytes);
  out.set_delivered_at_ms(to_unix_ms(record.delivered_at));
  out.set_cpu_us(record.usage.cpu_us);
  out.set_memory_peak_bytes(record.usage.memory_peak_bytes);
  if (!record.checkpoint) return;
  out.set_checkpoint_iterations(record.checkpoint->iterations);
  out.set_checkpoint_at_ms(to_unix_ms(record.checkpoint->at));
}

void from_token(const TokenRecord& record, Instant now, v1::Token& out) {
  out.set_id(record.id);
  out.set_role(std::string(role_name(record.role)));
  out.set_name(record.name);
  out.set_state(record.is_valid(now) ? "valid" : record.is_revoked ? "revoked" : "expired");
  out.set_created_at_ms(to_unix_ms(record.created_at));
  out.set_expires_at_ms(to_unix_ms(record.expires_at));
}

void from_queue(const QueueRecord& record, v1::Queue& out) {
  out.set_name(record.name);
  out.set_paused(record.is_paused);
  out.set_max_depth(record.depth_max);
  out.set_max_leased(record.leased_max);
  out.set_retention_ms(ms_from_duration(record.retention));
  out.set_retention_bytes(record.retention_bytes);
  out.set_dead_retention_ms(ms_from_duration(record.dead_retention));
}

Result<QueueRecord> patched(QueueRecord record, const v1::PatchQueueRequest& patch) {
  const auto retention = [](std::string_view field, std::uint64_t ms, Duration& out) -> Result<void> {
    out = duration_from_ms(ms);
    if (out <= hours(24 * 3650)) return ok();
    return fail(Code::kInvalid, std::string(field) + " is longer than ten years");
  };
  if (patch.has_paused()) record.is_paused = patch.paused();
  if (patch.has_max_depth()) record.depth_max = patch.max_depth();
  if (patch.has_max_leased()) record.leased_max = patch.max_leased();
  if (patch.has_retention_ms()) {
    SKEP_TRY(retention("retention_ms", patch.retention_ms(), record.retention));
  }
  if (patch.has_retention_bytes()) record.retention_bytes = patch.retention_bytes();
  if (patch.has_dead_retention_ms()) {
    SKEP_TRY(retention("dead_retention_ms", patch.dead_retention_ms(), record.dead_retention));
  }
  return record;
}

}  // namespace skep::api
