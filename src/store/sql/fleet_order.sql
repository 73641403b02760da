UPDATE skep.fleet
SET order_kind = $1::bigint, workers = $2::bigint, given_ms = $3::bigint, until_ms = $4::bigint
