SELECT shard, name, is_paused, depth_max, leased_max, retention_ns, retention_bytes, dead_retention_ns
FROM skep.queue_settings WHERE shard = $1::bigint ORDER BY name
