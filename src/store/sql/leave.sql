DELETE FROM skep.members WHERE member = $1::bigint
