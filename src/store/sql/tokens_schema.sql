-- The tokens of the cluster, beside the numbered migrations: made when a manager or `skep token` first needs them. Runs inside
-- a transaction, under the advisory lock of the migrations. Instants are milliseconds since 1970; -1 is never.
-- The hash is SHA-256 of the salt and the secret: the secret itself is kept nowhere.
CREATE SCHEMA IF NOT EXISTS skep;
CREATE TABLE IF NOT EXISTS skep.tokens (
  id text COLLATE "C" PRIMARY KEY,
  role text NOT NULL,
  name text NOT NULL,
  salt bytea NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  created_ms bigint NOT NULL,
  expires_ms bigint NOT NULL,
  is_revoked boolean NOT NULL
);
-- In a table that was made before there were viewers, too.
ALTER TABLE skep.tokens DROP CONSTRAINT IF EXISTS tokens_role_check;
ALTER TABLE skep.tokens ADD CONSTRAINT tokens_role_check CHECK (role IN ('viewer', 'client', 'worker', 'sibling', 'admin'));
REVOKE ALL ON skep.tokens FROM PUBLIC;
