UPDATE skep.fleet
SET spent_micros = CASE WHEN $1::text > month THEN $2::bigint WHEN $1::text = month THEN spent_micros + $2::bigint
                        ELSE spent_micros END,
    month = greatest(month, $1::text)
RETURNING order_kind, workers, given_ms, until_ms, month, spent_micros
