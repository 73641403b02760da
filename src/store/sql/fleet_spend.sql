-- One statement, so that a part is counted with its sum or not at all. Its answer: whether it was counted now.
WITH counted AS (
  INSERT INTO skep.spenders AS s (account, counted_ms, ends) VALUES ($2::text, $4::bigint, ARRAY[$4::bigint])
  ON CONFLICT (account) DO UPDATE SET counted_ms = excluded.counted_ms, added_at = clock_timestamp(),
    ends = (s.ends || excluded.counted_ms)[greatest(1, cardinality(s.ends) - 30):]
    WHERE s.counted_ms <= $3::bigint
  RETURNING $1::bigint AS micros
), forgotten AS (
  DELETE FROM skep.spenders WHERE account NOT IN ($2::text, 'cluster') AND added_at < clock_timestamp() - interval '7 days'
)
UPDATE skep.fleet
SET month = greatest(month, now_month),
    spent_micros = CASE WHEN month < now_month THEN 0 ELSE spent_micros END + coalesce((SELECT micros FROM counted), 0)
FROM (SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM') COLLATE "C" AS now_month) AS clock
RETURNING (SELECT count(*) FROM counted)
