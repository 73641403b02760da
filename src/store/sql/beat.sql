INSERT INTO skep.members (member, address, is_leaving) VALUES ($1::bigint, $2::text, $3::boolean)
ON CONFLICT (member) DO UPDATE SET beat_at = clock_timestamp(), is_leaving = excluded.is_leaving
