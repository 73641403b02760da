SELECT order_kind, workers, given_ms, until_ms, month, spent_micros FROM skep.fleet
