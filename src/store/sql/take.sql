UPDATE skep.shards SET epoch = epoch + 1, owner = $3::bigint, claimed_at = now()
WHERE shard = $1::bigint AND epoch = $2::bigint RETURNING epoch
