// SPDX-License-Identifier: Apache-2.0
// postgres_membership.h - membership.h in PostgreSQL: skep.members and the owners in skep.shards.
//
// Threads:   as membership.h; two threads with a connection each, one for beats, one for all else.
// Errors:    as membership.h.
#pragma once

#include <memory>
#include <string>

#include "base/executor.h"
#include "store/membership.h"

namespace skep::store {

// What the store has to know of a claim: it is void if the connection of the commits was lost since it began.
class PgClaims {
 public:
  virtual std::uint64_t begin_claim() const = 0;                   // any thread
  virtual void end_claim(ShardId shard, std::uint64_t begun) = 0;  // any thread

 protected:
  ~PgClaims() = default;
};

// Blocks. `claims` and `executor` must outlive what it gives.
Result<std::unique_ptr<Membership>> join_postgres(const std::string& conninfo, ShardId shard_count,
                                                  PgClaims& claims, const std::string& address,
                                                  Executor& executor);

}  // namespace skep::store
