// SPDX-License-Identifier: Apache-2.0
// The fleet's record of a database: one row, one connection. What is changed is read in a statement of its
// own.
#include "store/fleet_store.h"
#include "store/postgres_connection.h"
#include "store/postgres_schema.h"
#include "store/postgres_values.h"
#include "store/sql_statements.h"

namespace skep::store {
namespace {

Result<FleetRecord> read_fleet(const PgRow& row) {
  FleetRecord record;
  SKEP_TRY(const auto kind, pg_read_number(row.bytes(0)));
  SKEP_TRY(const auto workers, pg_read_number(row.bytes(1)));
  SKEP_TRY(const auto given_ms, pg_read_number(row.bytes(2)));
  SKEP_TRY(const auto until_ms, pg_read_number(row.bytes(3)));
  record.month = row.bytes(4);
  SKEP_TRY(const auto spent, pg_read_number(row.bytes(5)));
  SKEP_TRY(const auto counted_ms, pg_read_number(row.bytes(6)));
  record.counted_until = from_unix_ms(counted_ms);
  record.order.kind = static_cast<FleetOrderKind>(kind);
  record.order.workers = static_cast<std::uint32_t>(workers);
  record.order.given_at = from_unix_ms(given_ms);
  record.order.until = from_unix_ms(until_ms);
  record.spent_micros = static_cast<std::uint64_t>(spent);
  return record;
}

class PostgresFleet final : public FleetStore {
 public:
  explicit PostgresFleet(const std::string& conninfo) : connection_(conninfo) {}

  Result<void> open() {
    SKEP_TRY(connection_.ensure());
    return make_fleet_table(connection_);
  }

  Result<FleetRecord> read() override {
    SKEP_TRY(connection_.ensure());
    std::optional<FleetRecord> record;
    SKEP_TRY(connection_.query(sql::fleet_read, {}, [&](const PgRow& row) -> Result<void> {
      SKEP_TRY(record, read_fleet(row));
      return ok();
    }));
    if (!record)
      return fail(Code::kCorrupt,
                  "skep.fleet has lost its row: INSERT INTO skep.fleet DEFAULT VALUES gives it back");
    return *record;
  }

  Result<FleetRecord> set_order(const FleetOrder& order) override {
    SKEP_TRY(connection_.ensure());
    SKEP_TRY(connection_.query(sql::fleet_order,
                               {pg_bigint(static_cast<std::int64_t>(order.kind)), pg_bigint(order.workers),
                                pg_bigint(to_unix_ms(order.given_at)), pg_bigint(to_unix_ms(order.until))}));
    return read();
  }

  Result<FleetRecord> add_spending(const SpendingPart& part) override {
    SKEP_TRY(connection_.ensure());
    std::int64_t is_counted = 0, counted_ms = 0;
    SKEP_TRY(connection_.query(sql::fleet_spend,
                               {pg_bigint(static_cast<std::int64_t>(part.micros)), part.account,
                                pg_bigint(to_unix_ms(part.from)), pg_bigint(to_unix_ms(part.until))},
                               [&](const PgRow& row) -> Result<void> {
                                 SKEP_TRY(is_counted, pg_read_number(row.bytes(0)));
                                 return ok();
                               }));
    if (is_counted != 0) return read();
    // In a statement of its own: one that waited for another one sees what was before that.
    SKEP_TRY(connection_.query(sql::fleet_counted, {part.account, pg_bigint(to_unix_ms(part.until))},
                               [&](const PgRow& row) -> Result<void> {
                                 SKEP_TRY(counted_ms, pg_read_number(row.bytes(0)));
                                 SKEP_TRY(is_counted, pg_read_number(row.bytes(1)));
                                 return ok();
                               }));
    if (is_counted != 0) return read();
    return fail(Code::kFenced,
                "what machines cost is counted until " + format_instant(from_unix_ms(counted_ms)));
  }

  Result<std::vector<std::string>> read_siblings() override { return std::vector<std::string>(); }
  Result<void> set_siblings(const std::vector<std::string>&) override { return ok(); }

 private:
  PgConnection connection_;
};

}  // namespace

Result<std::unique_ptr<FleetStore>> open_postgres_fleet(const std::string& conninfo) {
  auto fleet = std::make_unique<PostgresFleet>(conninfo);
  SKEP_TRY(fleet->open());
  return std::unique_ptr<FleetStore>(std::move(fleet));
}

}  // namespace skep::store
