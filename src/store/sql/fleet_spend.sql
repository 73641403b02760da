-- One statement, so that a part is counted with its sum or not at all. Its last column: whether it was counted now.
WITH counted AS (
  INSERT INTO skep.spenders AS s (account, counted_ms) VALUES ($3::text, $5::bigint)
  ON CONFLICT (account) DO UPDATE SET counted_ms = excluded.counted_ms, added_at = clock_timestamp()
    WHERE s.counted_ms <= $4::bigint
  RETURNING 1
), forgotten AS (
  DELETE FROM skep.spenders WHERE account <> $3::text AND added_at < clock_timestamp() - interval '7 days'
)
UPDATE skep.fleet
SET spent_micros = CASE WHEN NOT EXISTS (SELECT FROM counted) THEN spent_micros WHEN $1::text > month THEN $2::bigint
                        WHEN $1::text = month THEN spent_micros + $2::bigint ELSE spent_micros END,
    month = greatest(month, $1::text)
RETURNING order_kind, workers, given_ms, until_ms, month, spent_micros, (SELECT count(*) FROM counted)
