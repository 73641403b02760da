SELECT k.place, b.checksum, b.bytes
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS k(shard, epoch, sequence, place)
JOIN skep.results AS b ON b.shard = k.shard AND b.epoch = k.epoch AND b.sequence = k.sequence
