SELECT member, address, is_leaving, (extract(epoch FROM clock_timestamp() - beat_at) * 1000000)::bigint
FROM skep.members WHERE beat_at > clock_timestamp() - interval '1 hour' ORDER BY member
