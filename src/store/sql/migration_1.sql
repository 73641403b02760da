-- The first schema: shards, queues, tasks with their bodies and results, and views for people.
-- Runs inside one transaction, under the advisory lock of the migrations, with the schema skep there.

-- One row: which version the schema has, and how many shards it was made with.
CREATE TABLE skep.store (
  version integer NOT NULL,
  shard_count integer NOT NULL CHECK (shard_count BETWEEN 1 AND 65535),
  made_at timestamptz NOT NULL DEFAULT now()
);

-- Who owns a shard is who has its epoch. Each commit locks the row (fence), so it is made new often and stays small.
CREATE TABLE skep.shards (
  shard bigint PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0 CHECK (epoch BETWEEN 0 AND 4294967295),
  claimed_at timestamptz
) WITH (fillfactor = 50);

CREATE TABLE skep.queue_settings (
  shard bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  is_paused boolean NOT NULL,
  depth_max bigint NOT NULL,
  leased_max bigint NOT NULL,
  retention_ns bigint NOT NULL,
  retention_bytes bigint NOT NULL,
  dead_retention_ns bigint NOT NULL,
  PRIMARY KEY (shard, name)
);

-- A row is written three or four times in its life and then deleted. No index but the key, and room in each page, so that
-- an update stays in its page and touches no index (HOT). Instants are nanoseconds since 1970, exactly as skep counts them:
-- timestamptz ends at microseconds. NULL has not happened, the largest number never will. skep.tasks shows them as times.
-- Vacuum and analyze after a fixed number of dead rows: a share of the table would let a long backlog, which is not touched,
-- put off the cleaning of the part that is.
CREATE TABLE skep.task_records (
  shard bigint NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  queue text NOT NULL,
  kind text NOT NULL,
  iterations bigint NOT NULL,
  program text NOT NULL,
  priority smallint NOT NULL,
  attempts_max smallint NOT NULL,
  delay_ns bigint NOT NULL,
  start_deadline_ns bigint NOT NULL,
  run_timeout_ns bigint NOT NULL,
  idempotency_key text NOT NULL,
  tags text[] NOT NULL,
  keep_checkpoints boolean NOT NULL,
  state text NOT NULL,
  body_bytes bigint NOT NULL,
  enqueued_ns bigint,
  ready_ns bigint,
  queued_ns bigint,
  finished_ns bigint,
  attempts_failed bigint NOT NULL,
  workers_lost bigint NOT NULL,
  errors jsonb NOT NULL,
  reason text NOT NULL,
  lease_epoch bigint NOT NULL,
  lease_number bigint NOT NULL,
  worker text NOT NULL,
  leased_ns bigint,
  started_ns bigint,
  lease_expires_ns bigint,
  resumed_from bigint NOT NULL,
  checkpoint_iterations bigint NOT NULL,
  checkpoint_digest bytea NOT NULL,
  checkpoint_ns bigint,
  result_bytes bigint NOT NULL,
  result_hash bigint NOT NULL,
  completion bigint NOT NULL,
  completion_epoch bigint NOT NULL,
  delivered_ns bigint,
  PRIMARY KEY (shard, epoch, sequence)
) WITH (fillfactor = 70,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);

-- Written once, read once or twice, deleted. In tables of their own, so that a change of a task's state does not write its
-- bytes again. EXTERNAL: bodies are mostly not worth compressing, and trying costs the commit. The checksum is CRC-32C of the
-- bytes and the id.
CREATE TABLE skep.bodies (
  shard bigint NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  checksum bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (shard, epoch, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 20000, toast.autovacuum_vacuum_cost_delay = 0);
ALTER TABLE skep.bodies ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE skep.results (
  shard bigint NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  checksum bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (shard, epoch, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 20000, toast.autovacuum_vacuum_cost_delay = 0);
ALTER TABLE skep.results ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Locks the shards' rows until the commit ends and compares their epochs: a claim waits for the commits under way, and a
-- commit that waited for a claim sees the new epoch and fails. In the order of the shards, so that none wait for each other.
CREATE FUNCTION skep.fence(wanted_shards bigint[], wanted_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found_row record;
  shards_left integer := cardinality(wanted_shards);
BEGIN
  FOR found_row IN
    SELECT s.shard, s.epoch, w.epoch AS wanted
    FROM unnest(wanted_shards, wanted_epochs) AS w(shard, epoch) JOIN skep.shards AS s ON s.shard = w.shard
    ORDER BY s.shard FOR SHARE OF s
  LOOP
    IF found_row.epoch <> found_row.wanted OR found_row.epoch = 0 THEN
      RAISE EXCEPTION USING ERRCODE = 'SK001', MESSAGE = format(
        'shard %s has an owner with epoch %s; epoch %s may not use it', found_row.shard, found_row.epoch, found_row.wanted);
    END IF;
    shards_left := shards_left - 1;
  END LOOP;
  IF shards_left <> 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'SK001', MESSAGE = 'a shard has no row in skep.shards: nobody owns it';
  END IF;
END
$$;

-- ---- for people ----

-- An instant as a time: microseconds are what PostgreSQL keeps.
CREATE FUNCTION skep.instant(ns bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN ns = 9223372036854775807 THEN 'infinity'::timestamptz
              ELSE timestamptz '1970-01-01 00:00:00+00' + make_interval(secs => ns / 1e9::numeric) END
$$;

-- A duration; 0 is none.
CREATE FUNCTION skep.duration(ns bigint) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN ns <> 0 THEN make_interval(secs => ns / 1e9::numeric) END
$$;

-- A task's id as skep writes it: 96 bits, 5 to a character.
CREATE FUNCTION skep.task_id(shard bigint, epoch bigint, sequence bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + substring(bits FROM at FOR 5)::bit(5)::integer, 1), ''
                    ORDER BY at)
  FROM (SELECT B'0000' || shard::bit(16) || epoch::bit(32) || sequence::bit(48)) AS b(bits),
       generate_series(1, 96, 5) AS at
$$;

CREATE VIEW skep.tasks AS
SELECT skep.task_id(shard, epoch, sequence) AS id, queue, kind, state, priority::integer, tags, reason, worker,
  skep.instant(enqueued_ns) AS enqueued_at, skep.instant(ready_ns) AS ready_at, skep.instant(queued_ns) AS queued_at,
  skep.instant(leased_ns) AS leased_at, skep.instant(started_ns) AS started_at,
  skep.instant(lease_expires_ns) AS lease_expires_at, skep.instant(finished_ns) AS finished_at,
  skep.instant(delivered_ns) AS delivered_at,
  iterations, checkpoint_iterations, resumed_from, program, attempts_failed, attempts_max::integer, workers_lost, errors,
  skep.duration(delay_ns) AS delay, skep.duration(start_deadline_ns) AS start_deadline,
  skep.duration(run_timeout_ns) AS run_timeout, idempotency_key, body_bytes, result_bytes,
  lease_epoch, lease_number, shard, epoch, sequence
FROM skep.task_records;

CREATE VIEW skep.backlog AS
SELECT queue, state, count(*) AS tasks, min(skep.instant(enqueued_ns)) AS oldest, sum(body_bytes) AS body_bytes
FROM skep.task_records GROUP BY queue, state ORDER BY queue, state;

-- One task by the id that skep shows, by the key and so at once.
CREATE FUNCTION skep.task(id text) RETURNS SETOF skep.tasks LANGUAGE sql STABLE AS $$
  SELECT t.* FROM skep.tasks AS t, (
    SELECT substring(string_agg((strpos('0123456789abcdefghjkmnpqrstvwxyz', substr($1, at, 1)) - 1)::bit(5)::text, ''
                                ORDER BY at) FROM 5)::bit(96)
    FROM generate_series(1, 20) AS at) AS b(bits)
  WHERE length($1) = 20 AND translate($1, '0123456789abcdefghjkmnpqrstvwxyz', '') = ''
    AND t.shard = substring(bits FROM 1 FOR 16)::bit(16)::bigint
    AND t.epoch = substring(bits FROM 17 FOR 32)::bit(32)::bigint
    AND t.sequence = substring(bits FROM 49 FOR 48)::bit(48)::bigint
$$;
