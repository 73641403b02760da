SELECT shard, epoch, coalesce(owner, 0) FROM skep.shards ORDER BY shard
