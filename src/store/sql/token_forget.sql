DELETE FROM skep.tokens WHERE expires_ms >= 0 AND expires_ms < $1::bigint
