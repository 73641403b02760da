SELECT counted_ms FROM skep.spenders WHERE account = $1::text
