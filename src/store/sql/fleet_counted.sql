-- Until when the account is counted, and whether the part that ends at $2 is.
SELECT counted_ms, ($2::bigint = ANY (ends))::integer FROM skep.spenders WHERE account = $1::text
