UPDATE skep.shards AS s SET epoch = s.epoch + 1, owner = NULL
FROM unnest($1::bigint[], $2::bigint[]) AS r(shard, epoch) WHERE s.shard = r.shard AND s.epoch = r.epoch
