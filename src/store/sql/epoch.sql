SELECT epoch FROM skep.shards WHERE shard = $1::bigint
