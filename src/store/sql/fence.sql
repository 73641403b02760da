SELECT skep.fence($1::bigint[], $2::bigint[])
