SELECT id, role, name, salt, hash, created_ms, expires_ms, is_revoked FROM skep.tokens ORDER BY created_ms, id
