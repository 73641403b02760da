UPDATE skep.shards SET epoch = epoch + 1, owner = NULL, claimed_at = now() WHERE shard = $1::bigint RETURNING epoch
