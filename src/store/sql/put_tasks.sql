INSERT INTO skep.task_records AS t (
  shard, epoch, sequence, queue, kind, iterations, program, priority, attempts_max, delay_ns,
  start_deadline_ns, run_timeout_ns, idempotency_key, tags, keep_checkpoints, parameters, traceparent, tracestate,
  state, body_bytes,
  enqueued_ns, ready_ns, queued_ns, finished_ns, attempts_failed, workers_lost, errors, reason, lease_epoch,
  lease_number, worker, leased_ns, started_ns, lease_expires_ns, resumed_from, checkpoint_iterations,
  checkpoint_digest, checkpoint_ns, result_bytes, result_hash, completion, completion_epoch, delivered_ns,
  cpu_us, memory_peak_bytes
)
SELECT
  r.shard, r.epoch, r.sequence, r.queue, r.kind, r.iterations, r.program, r.priority, r.attempts_max,
  r.delay_ns, r.start_deadline_ns, r.run_timeout_ns, r.idempotency_key, r.tags::text[], r.keep_checkpoints,
  r.parameters::text[], r.traceparent, r.tracestate,
  r.state, r.body_bytes, r.enqueued_ns, r.ready_ns, r.queued_ns, r.finished_ns, r.attempts_failed,
  r.workers_lost, r.errors::jsonb, r.reason, r.lease_epoch, r.lease_number, r.worker, r.leased_ns,
  r.started_ns, r.lease_expires_ns, r.resumed_from, r.checkpoint_iterations, r.checkpoint_digest,
  r.checkpoint_ns, r.result_bytes, r.result_hash, r.completion, r.completion_epoch, r.delivered_ns,
  r.cpu_us, r.memory_peak_bytes
FROM unnest(
  $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[],
  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[],
  $15::boolean[], $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::bigint[],
  $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::text[], $28::text[],
  $29::bigint[], $30::bigint[], $31::text[], $32::bigint[], $33::bigint[], $34::bigint[], $35::bigint[],
  $36::bigint[], $37::bytea[], $38::bigint[], $39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[],
  $43::bigint[], $44::bigint[], $45::bigint[]
) AS r(
  shard, epoch, sequence, queue, kind, iterations, program, priority, attempts_max, delay_ns,
  start_deadline_ns, run_timeout_ns, idempotency_key, tags, keep_checkpoints, parameters, traceparent, tracestate,
  state, body_bytes,
  enqueued_ns, ready_ns, queued_ns, finished_ns, attempts_failed, workers_lost, errors, reason, lease_epoch,
  lease_number, worker, leased_ns, started_ns, lease_expires_ns, resumed_from, checkpoint_iterations,
  checkpoint_digest, checkpoint_ns, result_bytes, result_hash, completion, completion_epoch, delivered_ns,
  cpu_us, memory_peak_bytes
)
ON CONFLICT (shard, epoch, sequence) DO UPDATE SET
  queue = excluded.queue, kind = excluded.kind, iterations = excluded.iterations,
  program = excluded.program, priority = excluded.priority, attempts_max = excluded.attempts_max,
  delay_ns = excluded.delay_ns, start_deadline_ns = excluded.start_deadline_ns,
  run_timeout_ns = excluded.run_timeout_ns, idempotency_key = excluded.idempotency_key,
  tags = excluded.tags, keep_checkpoints = excluded.keep_checkpoints, parameters = excluded.parameters,
  traceparent = excluded.traceparent, tracestate = excluded.tracestate, state = excluded.state,
  body_bytes = excluded.body_bytes, enqueued_ns = excluded.enqueued_ns, ready_ns = excluded.ready_ns,
  queued_ns = excluded.queued_ns, finished_ns = excluded.finished_ns,
  attempts_failed = excluded.attempts_failed, workers_lost = excluded.workers_lost,
  errors = excluded.errors, reason = excluded.reason, lease_epoch = excluded.lease_epoch,
  lease_number = excluded.lease_number, worker = excluded.worker, leased_ns = excluded.leased_ns,
  started_ns = excluded.started_ns, lease_expires_ns = excluded.lease_expires_ns,
  resumed_from = excluded.resumed_from, checkpoint_iterations = excluded.checkpoint_iterations,
  checkpoint_digest = excluded.checkpoint_digest, checkpoint_ns = excluded.checkpoint_ns,
  result_bytes = excluded.result_bytes, result_hash = excluded.result_hash,
  completion = excluded.completion, completion_epoch = excluded.completion_epoch,
  delivered_ns = excluded.delivered_ns, cpu_us = excluded.cpu_us,
  memory_peak_bytes = excluded.memory_peak_bytes
