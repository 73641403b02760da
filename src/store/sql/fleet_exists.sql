SELECT (to_regclass('skep.fleet') IS NOT NULL AND to_regclass('skep.spenders') IS NOT NULL)::integer
