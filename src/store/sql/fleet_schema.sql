-- What is ordered of the fleet and what it cost this month: one row, and a row for each who adds to that, until when it is
-- counted. Beside the numbered migrations, made when a manager first needs them. Runs inside a transaction, under the advisory
-- lock of the migrations. Instants are milliseconds since 1970.
CREATE SCHEMA IF NOT EXISTS skep;
CREATE TABLE IF NOT EXISTS skep.fleet (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  order_kind smallint NOT NULL DEFAULT 0 CHECK (order_kind BETWEEN 0 AND 2),
  workers bigint NOT NULL DEFAULT 0 CHECK (workers BETWEEN 0 AND 4294967295),
  given_ms bigint NOT NULL DEFAULT 0,
  until_ms bigint NOT NULL DEFAULT 0,
  month text COLLATE "C" NOT NULL DEFAULT '',
  spent_micros bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS skep.spenders (
  account text COLLATE "C" PRIMARY KEY,
  counted_ms bigint NOT NULL,
  ends bigint[] NOT NULL, -- of the last 32 parts
  added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO skep.fleet DEFAULT VALUES ON CONFLICT DO NOTHING;
