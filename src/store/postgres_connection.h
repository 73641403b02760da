// SPDX-License-Identifier: Apache-2.0
// postgres_connection.h - one connection to PostgreSQL by libpq: made when it is needed, made again when
// lost.
//
// Knows libpq and SQLSTATEs, but no table. After a failure to connect the next attempts are refused for a
// while that doubles, so that a caller in a loop does not hammer a server that is starting.
//
// Threads:   one at a time.
// Errors:    kUnavailable: nothing was written; kUnknownOutcome: lost when COMMIT was under way; kFenced: the
//            database said so; kCorrupt: damaged data, or a rule of the schema is broken.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/function.h"
#include "base/result.h"

struct pg_conn;
struct pg_result;

namespace skep::store {

// A row that is being read; valid during the call that gets it.
class PgRow {
 public:
  PgRow(const pg_result* result, int row) : result_(result), row_(row) {}
  bool is_null(int column) const;
  std::string_view bytes(int column) const;  // "" of NULL
  std::string_view name(int column) const;
  int columns() const;

 private:
  const pg_result* result_;
  int row_;
};

// A statement with its parameters in binary form. `sql` is prepared once a connection, and stays where it is.
struct PgCall {
  std::string_view sql;
  std::vector<std::string> params;
};

class PgConnection {
 public:
  // `conninfo`: a URI or a list of keywords, for libpq.
  explicit PgConnection(std::string conninfo);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // Success: connected now. `was_lost` tells that a connection that stood was found dead. kUnavailable: the
  // server's or libpq's words; kInvalid: the conninfo is wrong, or the database is not UTF-8.
  Result<void> ensure(bool* was_lost = nullptr);
  bool is_connected() const;
  void disconnect();

  // Runs one statement and gives each row to `on_row`, one by one as they come, until it fails. Outside of a
  // transaction the statement is one by itself. A lost connection is kUnavailable.
  using OnRow = UniqueFunction<Result<void>(const PgRow&)>;
  Result<void> query(std::string_view sql, const std::vector<std::string>& params, OnRow on_row = nullptr);
  // Runs several statements of a text without parameters.
  Result<void> script(const std::string& sql);
  // Runs the calls as one transaction, `begin` before and COMMIT after them, in one round trip. Rows are
  // dropped.
  Result<void> transact(std::string_view begin, const std::vector<PgCall>& calls);

  // "host:port/database" of the connection that stands; "" if none does.
  std::string place() const;

 private:
  struct Answer;  // of one statement
  Result<void> connect();
  Error lost(Code code) const;
  Result<void> send(const PgCall& call);
  Answer receive();
  Result<void> receive_all(const std::vector<PgCall>& sent);

  const std::string conninfo_;
  const SystemClock clock_;
  pg_conn* connection_ = nullptr;
  std::map<std::string_view, int> prepared_;  // statement -> number in its name
  int next_name_ = 0;
  std::vector<bool> awaits_prepare_;  // by call that was sent: the answer of its preparation comes first
  Duration backoff_{};
  Instant not_before_{};
  std::string last_problem_;
};

}  // namespace skep::store
