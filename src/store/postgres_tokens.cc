// SPDX-License-Identifier: Apache-2.0
// The tokens of a database: one table, one connection, one statement a call.
#include "store/postgres_connection.h"
#include "store/postgres_schema.h"
#include "store/postgres_values.h"
#include "store/sql_statements.h"
#include "store/token_list.h"

namespace skep::store {
namespace {

Result<TokenRecord> read_token(const PgRow& row) {
  TokenRecord record;
  record.id = row.bytes(0);
  const auto role = parse_role(row.bytes(1));
  if (!role) return fail(Code::kCorrupt, "token " + record.id + " in skep.tokens has a role that is none");
  record.role = *role;
  record.name = row.bytes(2);
  record.salt = row.bytes(3);
  record.hash = row.bytes(4);
  SKEP_TRY(const auto created_ms, pg_read_number(row.bytes(5)));
  SKEP_TRY(const auto expires_ms, pg_read_number(row.bytes(6)));
  SKEP_TRY(record.is_revoked, pg_read_bool(row.bytes(7)));
  record.created_at = from_unix_ms(created_ms);
  record.expires_at = from_unix_ms(expires_ms);
  return record;
}

class PostgresTokens final : public TokenStore {
 public:
  explicit PostgresTokens(const std::string& conninfo) : connection_(conninfo) {}

  Result<void> open() {
    SKEP_TRY(connection_.ensure());
    return make_tokens_table(connection_);
  }

  Result<void> add(const TokenRecord& record) override {
    SKEP_TRY(connection_.ensure());
    bool is_added = false;
    SKEP_TRY(connection_.query(
        sql::token_add,
        {record.id, std::string(role_name(record.role)), record.name, record.salt, record.hash,
         pg_bigint(to_unix_ms(record.created_at)), pg_bigint(to_unix_ms(record.expires_at))},
        [&](const PgRow&) -> Result<void> {
          is_added = true;
          return ok();
        }));
    if (!is_added) return token_exists(record.id);
    // What fails here is made up for by the next one that is added.
    (void)connection_.query(sql::token_forget, {pg_bigint(to_unix_ms(record.created_at - kTokenMemory))});
    return ok();
  }

  Result<TokenRecord> end(const std::string& id, Instant at, TokenEnd how) override {
    SKEP_TRY(connection_.ensure());
    std::optional<TokenRecord> ended;
    SKEP_TRY(connection_.query(sql::token_end,
                               {id, pg_bigint(to_unix_ms(at)), pg_bigint(how == TokenEnd::kRevoked ? 1 : 0)},
                               [&](const PgRow& row) -> Result<void> {
                                 SKEP_TRY(ended, read_token(row));
                                 return ok();
                               }));
    if (!ended) return no_such_token(id);
    return *ended;
  }

  Result<TokenList> list() override {
    SKEP_TRY(connection_.ensure());
    TokenList tokens;
    SKEP_TRY(connection_.query(sql::token_list, {}, [&](const PgRow& row) -> Result<void> {
      SKEP_TRY(auto record, read_token(row));
      tokens.push_back(std::move(record));
      return ok();
    }));
    return tokens;
  }

 private:
  PgConnection connection_;
};

}  // namespace

Result<std::unique_ptr<TokenStore>> open_postgres_tokens(const std::string& conninfo) {
  auto tokens = std::make_unique<PostgresTokens>(conninfo);
  SKEP_TRY(tokens->open());
  return std::unique_ptr<TokenStore>(std::move(tokens));
}

}  // namespace skep::store
