// SPDX-License-Identifier: Apache-2.0
// postgres_load.h - reads all records of one shard, as of one moment.
//
// Threads:   one at a time, as the connection.
// Errors:    kFenced: the shard has another epoch; kCorrupt: a record is damaged, and is named; else those of
//            the connection.
#pragma once

#include "base/result.h"
#include "store/postgres_connection.h"
#include "store/store.h"

namespace skep::store {

Result<void> load_postgres_shard(PgConnection& connection, ShardId shard, Epoch epoch, RecordSink& sink);

}  // namespace skep::store
