// SPDX-License-Identifier: Apache-2.0
// postgres_batch.h - the batches of a commit as statements: the fence first, then a few for all rows
// together.
//
// Threads:   any thread.
#pragma once

#include <vector>

#include "store/postgres_connection.h"
#include "store/store.h"

namespace skep::store {

// Empty if there is nothing to be done. Every batch's shard exists.
std::vector<PgCall> statements_of(const std::vector<ShardBatch>& batches, Sync sync);

}  // namespace skep::store
