SELECT
  shard, epoch, sequence, queue, kind, iterations, program, priority, attempts_max, delay_ns,
  start_deadline_ns, run_timeout_ns, idempotency_key, tags, keep_checkpoints, parameters, traceparent, tracestate,
  state, body_bytes,
  enqueued_ns, ready_ns, queued_ns, finished_ns, attempts_failed, workers_lost, errors, reason, lease_epoch,
  lease_number, worker, leased_ns, started_ns, lease_expires_ns, resumed_from, checkpoint_iterations,
  checkpoint_digest, checkpoint_ns, result_bytes, result_hash, completion, completion_epoch, delivered_ns,
  cpu_us, memory_peak_bytes
FROM skep.task_records WHERE shard = $1::bigint ORDER BY shard, epoch, sequence
