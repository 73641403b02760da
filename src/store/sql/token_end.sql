UPDATE skep.tokens
SET expires_ms = CASE WHEN expires_ms < 0 THEN $2::bigint WHEN $2::bigint < 0 THEN expires_ms ELSE least(expires_ms, $2::bigint) END,
    is_revoked = is_revoked OR $3::bigint = 1
WHERE id = $1::text
RETURNING id, role, name, salt, hash, created_ms, expires_ms, is_revoked
