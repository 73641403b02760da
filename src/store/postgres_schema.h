// SPDX-License-Identifier: Apache-2.0
// postgres_schema.h - makes the schema skep in a database and brings an older one up to date.
//
// Forward only, one transaction for all steps, one program at a time (an advisory lock).
//
// Threads:   one at a time, as the connection.
// Errors:    kInvalid: a newer skep made the schema; else those of the connection.
#pragma once

#include "base/result.h"
#include "store/postgres_connection.h"
#include "task/id.h"

namespace skep::store {

struct PgSchema {
  ShardId shard_count = 0;
  bool was_made = false;
};

// `shard_count` is that of a schema that is made; one that exists keeps its own.
Result<PgSchema> migrate_postgres(PgConnection& connection, ShardId shard_count);

// Makes the table of tokens where it is missing, whether or not there is a store. The connection stands.
Result<void> make_tokens_table(PgConnection& connection);
// The same for the fleet's row.
Result<void> make_fleet_table(PgConnection& connection);

}  // namespace skep::store
