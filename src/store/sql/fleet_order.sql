UPDATE skep.fleet
SET order_kind = $1::bigint, workers = $2::bigint, given_ms = $3::bigint, until_ms = $4::bigint
RETURNING order_kind, workers, given_ms, until_ms, month, spent_micros
