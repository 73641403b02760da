-- As tokens_schema.sql makes it: with viewers.
SELECT EXISTS (
  SELECT FROM pg_constraint
  WHERE conrelid = to_regclass('skep.tokens') AND conname = 'tokens_role_check' AND pg_get_constraintdef(oid) LIKE '%viewer%'
)::integer
