INSERT INTO skep.results (shard, epoch, sequence, checksum, bytes)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])
ON CONFLICT (shard, epoch, sequence) DO UPDATE SET checksum = excluded.checksum, bytes = excluded.bytes
