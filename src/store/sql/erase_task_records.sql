DELETE FROM skep.task_records AS t USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS k(shard, epoch, sequence)
WHERE t.shard = k.shard AND t.epoch = k.epoch AND t.sequence = k.sequence
