SELECT (to_regclass('skep.fleet') IS NOT NULL)::integer
