INSERT INTO skep.tokens (id, role, name, salt, hash, created_ms, expires_ms, is_revoked)
VALUES ($1::text, $2::text, $3::text, $4::bytea, $5::bytea, $6::bigint, $7::bigint, false)
ON CONFLICT (id) DO NOTHING
RETURNING 1
