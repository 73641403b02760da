DELETE FROM skep.members WHERE beat_at < clock_timestamp() - interval '1 day'
