// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_schema.h"

#include <array>

#include "store/postgres_values.h"
#include "store/sql_statements.h"

namespace skep::store {
namespace {

// Step i leads to version i + 1.
constexpr std::array kSteps = {sql::migration_1, sql::migration_2, sql::migration_3, sql::migration_4};
constexpr auto kNewest = static_cast<std::int64_t>(kSteps.size());

// "skep" as a number: who migrates waits for who does already.
constexpr const char* kBegin = "BEGIN; SELECT pg_advisory_xact_lock(1936418160)";

Result<std::int64_t> ask(PgConnection& connection, std::string_view statement) {
  std::int64_t answer = 0;
  SKEP_TRY(connection.query(statement, {}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(answer, pg_read_number(row.bytes(0)));
    return ok();
  }));
  return answer;
}

Result<PgSchema> migrate(PgConnection& connection, ShardId shard_count) {
  std::int64_t version = 0;
  SKEP_TRY(const auto has_store, ask(connection, "SELECT (to_regclass('skep.store') IS NOT NULL)::integer"));
  if (has_store != 0) {
    SKEP_TRY(version, ask(connection, "SELECT version FROM skep.store"));
  }
  if (version > kNewest) {
    return fail(Code::kInvalid, "the schema skep of " + connection.place() + " has version " +
                                    std::to_string(version) + " and this program knows up to " +
                                    std::to_string(kNewest) + ": a newer skep made it, use that one");
  }
  if (has_store == 0) {
    SKEP_TRY(const auto has_schema, ask(connection, "SELECT (to_regnamespace('skep') IS NOT NULL)::integer"));
    if (has_schema == 0) {
      SKEP_TRY(connection.script("CREATE SCHEMA skep"));
    }
  }
  for (std::int64_t step = version; step < kNewest; ++step) {
    SKEP_TRY(connection.script(std::string(kSteps[static_cast<std::size_t>(step)])));
  }
  const std::string newest = std::to_string(kNewest), shards = std::to_string(shard_count);
  if (has_store == 0) {
    SKEP_TRY(connection.script("INSERT INTO skep.store (version, shard_count) VALUES (" + newest + ", " +
                               shards + "); INSERT INTO skep.shards (shard) SELECT generate_series(0, " +
                               shards + " - 1)"));
  } else if (version < kNewest) {
    SKEP_TRY(connection.script("UPDATE skep.store SET version = " + newest));
  }
  SKEP_TRY(const auto found, ask(connection, "SELECT shard_count FROM skep.store"));
  return PgSchema{static_cast<ShardId>(found), has_store == 0};
}

Result<void> make_table(PgConnection& connection, std::string_view exists, std::string_view schema) {
  SKEP_TRY(const auto is_there, ask(connection, exists));
  if (is_there != 0) return ok();
  SKEP_TRY(connection.script(kBegin));
  auto made = connection.script(std::string(schema));
  if (made) return connection.script("COMMIT");
  if (connection.is_connected()) (void)connection.script("ROLLBACK");
  return made;
}

}  // namespace

Result<PgSchema> migrate_postgres(PgConnection& connection, ShardId shard_count) {
  if (shard_count == 0) return fail(Code::kInvalid, "a store has at least one shard");
  SKEP_TRY(connection.ensure());
  SKEP_TRY(connection.script(kBegin));
  auto schema = migrate(connection, shard_count);
  if (!schema) {
    if (connection.is_connected()) (void)connection.script("ROLLBACK");
    return schema;
  }
  SKEP_TRY(connection.script("COMMIT"));
  return schema;
}

Result<void> make_tokens_table(PgConnection& connection) {
  return make_table(connection, sql::tokens_exist, sql::tokens_schema);
}

Result<void> make_fleet_table(PgConnection& connection) {
  return make_table(connection, sql::fleet_exists, sql::fleet_schema);
}

}  // namespace skep::store
