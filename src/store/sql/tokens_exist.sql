SELECT (to_regclass('skep.tokens') IS NOT NULL)::integer
