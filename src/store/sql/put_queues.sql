INSERT INTO skep.queue_settings AS q
  (shard, name, is_paused, depth_max, leased_max, retention_ns, retention_bytes, dead_retention_ns)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[])
ON CONFLICT (shard, name) DO UPDATE SET
  is_paused = excluded.is_paused, depth_max = excluded.depth_max, leased_max = excluded.leased_max,
  retention_ns = excluded.retention_ns, retention_bytes = excluded.retention_bytes,
  dead_retention_ns = excluded.dead_retention_ns
