// SPDX-License-Identifier: Apache-2.0
// postgres_store.h - store.h in a PostgreSQL database: for several managers, and for data that outlives a
// machine.
//
// docs/postgres.md describes the schema and its operation, docs/decisions/postgres_store.md the choices. A
// commit is one transaction that locks and compares the shards' epochs first. Connections are made again by
// themselves. After the one of the commits was lost, the server may be another or may have forgotten soft
// commits, so every shard must be claimed and loaded again: until then its commits are kFenced.
//
// Threads:   as store.h; each session has two threads of its own, one for commits and one for reads, with a
//            connection each; the store has one more for its figures.
// Errors:    as store.h. Opening: kInvalid (no conninfo, not UTF-8, a newer schema), kUnavailable (the server
//            is away or refuses).
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "store/store.h"

namespace skep::store {

struct PostgresOptions {
  std::string conninfo;      // postgres://..., as libpq takes it: several hosts, TLS, target_session_attrs
  ShardId shard_count = 64;  // of a schema that is made; one that exists keeps its own
};

// Opens the store in the database's schema skep, or makes it.
Result<std::unique_ptr<Store>> open_postgres(const PostgresOptions& options, Logger log);

}  // namespace skep::store
