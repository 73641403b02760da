// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_stats.h"

#include "store/postgres_connection.h"
#include "store/postgres_values.h"
#include "store/sql_statements.h"

namespace skep::store {

std::string describe_durability(const PgDurability& settings) {
  const std::string unchecked =
      settings.data_checksums == "on" ? "" : "; pages have no checksums (data_checksums = off)";
  if (settings.fsync != "on") {
    return "NOT durable: the server's fsync is off, a crash of its machine may lose everything" + unchecked;
  }
  const std::string& commit = settings.synchronous_commit;
  if (commit == "off") {
    return "NOT durable: synchronous_commit = off, a crash of the server loses the newest" + unchecked;
  }
  const std::string names = settings.synchronous_standby_names;
  if (names.empty() || commit == "local") {
    return "on the server's disk; a failover to a standby may lose the newest (synchronous_commit = " +
           commit + ", no synchronous standby)" + unchecked;
  }
  const std::string at_standby = commit == "remote_write"   ? "in the memory of the machine of"
                                 : commit == "remote_apply" ? "on the disk of and visible at"
                                                            : "on the disk of";
  return "on the server's disk and " + at_standby + " the synchronous standbys '" + names + "' (" +
         std::to_string(settings.synchronous_standbys) + " seen now)" + unchecked;
}

Result<StoreStats> ask_postgres_stats(const std::string& conninfo) {
  PgConnection connection(conninfo);
  SKEP_TRY(connection.ensure());
  StoreStats stats;
  stats.engine = "postgres";
  stats.place = connection.place();
  SKEP_TRY(connection.query(sql::durability, {}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(const auto bytes, pg_read_number(row.bytes(0)));
    PgDurability settings;
    settings.fsync = row.bytes(1);
    settings.synchronous_commit = row.bytes(2);
    settings.synchronous_standby_names = row.bytes(3);
    SKEP_TRY(settings.synchronous_standbys, pg_read_number(row.bytes(4)));
    settings.data_checksums = row.bytes(5);
    stats.disk_bytes = static_cast<std::uint64_t>(bytes);
    stats.durability = describe_durability(settings);
    return ok();
  }));
  return stats;
}

}  // namespace skep::store
