-- In a month that has begun nothing is spent yet.
SELECT order_kind, workers, given_ms, until_ms, greatest(month, now_month), CASE WHEN month < now_month THEN 0 ELSE spent_micros END,
  coalesce((SELECT counted_ms FROM skep.spenders WHERE account = 'cluster'), 0)
FROM skep.fleet, (SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM') COLLATE "C" AS now_month) AS clock
