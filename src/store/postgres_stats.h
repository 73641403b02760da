// SPDX-License-Identifier: Apache-2.0
// postgres_stats.h - what a server says of itself, and what that makes of an acknowledgement.
//
// Threads:   any thread.
// Errors:    those of a connection.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/store.h"

namespace skep::store {

// The server's settings that decide what a COMMIT that returned has promised.
struct PgDurability {
  std::string fsync = "on";
  std::string synchronous_commit = "on";
  std::string synchronous_standby_names;
  std::int64_t synchronous_standbys = 0;  // connected ones; 0 also where the role may not see them
  std::string data_checksums = "on";
};

// One line for a person.
std::string describe_durability(const PgDurability& settings);

// Asks over a connection of its own. Blocks.
Result<StoreStats> ask_postgres_stats(const std::string& conninfo);

}  // namespace skep::store
