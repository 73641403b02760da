-- Where the request that enqueued it stood in a trace.
ALTER TABLE skep.task_records
  ADD COLUMN traceparent text NOT NULL DEFAULT '',
  ADD COLUMN tracestate text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW skep.tasks AS
SELECT skep.task_id(shard, epoch, sequence) AS id, queue, kind, state, priority::integer, tags, reason, worker,
  skep.instant(enqueued_ns) AS enqueued_at, skep.instant(ready_ns) AS ready_at, skep.instant(queued_ns) AS queued_at,
  skep.instant(leased_ns) AS leased_at, skep.instant(started_ns) AS started_at,
  skep.instant(lease_expires_ns) AS lease_expires_at, skep.instant(finished_ns) AS finished_at,
  skep.instant(delivered_ns) AS delivered_at,
  iterations, checkpoint_iterations, resumed_from, program, attempts_failed, attempts_max::integer, workers_lost, errors,
  skep.duration(delay_ns) AS delay, skep.duration(start_deadline_ns) AS start_deadline,
  skep.duration(run_timeout_ns) AS run_timeout, idempotency_key, body_bytes, result_bytes,
  lease_epoch, lease_number, shard, epoch, sequence, parameters, cpu_us / 1e6 AS cpu_seconds, memory_peak_bytes,
  traceparent, tracestate
FROM skep.task_records;
