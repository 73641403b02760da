UPDATE skep.shards SET epoch = epoch + 1, owner = NULL WHERE owner = $1::bigint
