// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_load.h"

#include "store/memory_tables.h"
#include "store/postgres_rows.h"
#include "store/postgres_values.h"
#include "store/sql_statements.h"

namespace skep::store {
namespace {

Result<void> read_shard(PgConnection& connection, ShardId shard, Epoch epoch, RecordSink& sink) {
  std::int64_t current = 0;
  SKEP_TRY(connection.query(sql::epoch, {pg_bigint(shard)}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(current, pg_read_number(row.bytes(0)));
    return ok();
  }));
  if (current != epoch || epoch == 0) return fenced(shard, epoch, static_cast<Epoch>(current));
  SKEP_TRY(connection.query(sql::load_queues, {pg_bigint(shard)}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(auto record, read_queue_row(row));
    sink.on_queue(std::move(record));
    return ok();
  }));
  return connection.query(sql::load_tasks, {pg_bigint(shard)}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(auto record, read_task_row(row));
    sink.on_task(std::move(record));
    return ok();
  });
}

}  // namespace

Result<void> load_postgres_shard(PgConnection& connection, ShardId shard, Epoch epoch, RecordSink& sink) {
  SKEP_TRY(connection.ensure());
  // One snapshot for all of it.
  SKEP_TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  auto result = read_shard(connection, shard, epoch, sink);
  if (!connection.is_connected()) return result;
  const auto ended = connection.script("ROLLBACK");
  return result ? ended : result;
}

}  // namespace skep::store
