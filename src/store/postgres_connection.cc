// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_connection.h"

#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace skep::store {
namespace {

constexpr Duration kBackoffFirst = milliseconds(50);
constexpr Duration kBackoffMax = seconds(2);
constexpr std::string_view kFenceState = "SK001";  // as skep.fence() raises it

// What a connection is set to. Each statement of ours touches rows by their key, in the order of it, whatever
// the statistics of a table say that was empty a minute ago; so the plans that could go wrong are forbidden,
// and one plan does for all parameters. A statement that is late is not cancelled: a commit that waits for
// its standby is then reported as done. A transaction whose client is gone must let go of its shards' rows.
constexpr const char* kSettings =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_sort = off;"
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET statement_timeout = 0;"
    "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '15s';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3";

struct ResultClear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ResultClear>;

// One line of libpq's several.
std::string one_line(const char* text) {
  std::string line;
  for (const char* c = text; c != nullptr && *c != '\0'; ++c) {
    const char shown = *c == '\n' || *c == '\t' ? ' ' : *c;
    if (shown != ' ' || (!line.empty() && line.back() != ' ')) line.push_back(shown);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

Code code_of(std::string_view state) {
  if (state == kFenceState) return Code::kFenced;
  // Damaged pages and indexes; rules of the schema; tables and columns that are not as we made them.
  if (state == "XX001" || state == "XX002" || state.starts_with("23") || state == "42P01" ||
      state == "42703" || state == "42883" || state == "3F000") {
    return Code::kCorrupt;
  }
  return Code::kUnavailable;
}

std::string state_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state != nullptr ? state : "";
}

Error error_of(const PGresult* result) {
  const std::string state = state_of(result);
  if (state.empty()) return fail(Code::kUnavailable, "PostgreSQL: " + one_line(PQresultErrorMessage(result)));
  std::string message = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  if (state != kFenceState) message = "PostgreSQL: " + message + " (SQLSTATE " + state + ")";
  return fail(code_of(state), std::move(message));
}

bool is_error(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_FATAL_ERROR:
    case PGRES_BAD_RESPONSE:
    case PGRES_PIPELINE_ABORTED:
      return true;
    default:
      return false;
  }
}

struct ParamArrays {
  explicit ParamArrays(const std::vector<std::string>& params) {
    for (const auto& param : params) {
      values.push_back(param.data());
      lengths.push_back(static_cast<int>(param.size()));
      formats.push_back(1);
    }
  }
  int count() const { return static_cast<int>(values.size()); }
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
};

}  // namespace

bool PgRow::is_null(int column) const {
  return PQgetisnull(result_, row_, column) != 0;
}
std::string_view PgRow::bytes(int column) const {
  return {PQgetvalue(result_, row_, column), static_cast<std::size_t>(PQgetlength(result_, row_, column))};
}
std::string_view PgRow::name(int column) const {
  const char* name = PQfname(result_, column);
  return name != nullptr ? name : "";
}
int PgRow::columns() const {
  return PQnfields(result_);
}

// ---- connecting ----

PgConnection::PgConnection(std::string conninfo) : conninfo_(std::move(conninfo)) {}

PgConnection::~PgConnection() {
  disconnect();
}

bool PgConnection::is_connected() const {
  return connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK;
}

void PgConnection::disconnect() {
  if (connection_ != nullptr) PQfinish(connection_);
  connection_ = nullptr;
  prepared_.clear();
}

std::string PgConnection::place() const {
  if (!is_connected()) return "";
  return std::string(PQhost(connection_)) + ":" + PQport(connection_) + "/" + PQdb(connection_);
}

Result<void> PgConnection::ensure(bool* was_lost) {
  if (connection_ != nullptr) {
    // Twice: the server's last words come before the end of the stream.
    for (int i = 0; i < 2 && is_connected(); ++i) (void)PQconsumeInput(connection_);
    if (is_connected()) return ok();
    disconnect();
    if (was_lost != nullptr) *was_lost = true;
  }
  if (clock_.now() < not_before_) return fail(Code::kUnavailable, last_problem_);
  auto connected = connect();
  if (connected) {
    backoff_ = {};
    return ok();
  }
  disconnect();
  backoff_ = std::clamp(backoff_ * 2, kBackoffFirst, kBackoffMax);
  not_before_ = clock_.now() + backoff_;
  last_problem_ = connected.error().message;
  return connected;
}

Result<void> PgConnection::connect() {
  char* problem = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(conninfo_.c_str(), &problem);
  PQfreemem(problem);  // it may quote the password
  if (parsed == nullptr) {
    return fail(Code::kInvalid,
                "the address of the PostgreSQL store is neither a URI (postgres://user@host/database) nor a "
                "list of keywords that libpq understands");
  }
  PQconninfoFree(parsed);
  // What stands in the conninfo comes after these and wins.
  static constexpr std::array<const char*, 12> kKeys = {"target_session_attrs",
                                                        "connect_timeout",
                                                        "keepalives_idle",
                                                        "keepalives_interval",
                                                        "keepalives_count",
                                                        "tcp_user_timeout",
                                                        "fallback_application_name",
                                                        "gssencmode",
                                                        "dbname",
                                                        "client_encoding",
                                                        nullptr};
  const std::array<const char*, 12> values = {
      "read-write", "5", "10", "3", "3", "20000", "skep", "disable", conninfo_.c_str(), "UTF8", nullptr};
  connection_ = PQconnectdbParams(kKeys.data(), values.data(), 1);
  SKEP_CHECK(connection_ != nullptr, "memory for a connection");
  if (!is_connected()) {
    return fail(Code::kUnavailable, "PostgreSQL: " + one_line(PQerrorMessage(connection_)));
  }
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  const char* encoding = PQparameterStatus(connection_, "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    return fail(Code::kInvalid,
                "the database " + place() + " has the encoding " + (encoding != nullptr ? encoding : "?") +
                    ": make one with CREATE DATABASE skep ENCODING 'UTF8' TEMPLATE template0");
  }
  return script(kSettings);
}

Error PgConnection::lost(Code code) const {
  return fail(code, "the connection to PostgreSQL was lost: " + one_line(PQerrorMessage(connection_)));
}

// ---- statements by themselves ----

Result<void> PgConnection::script(const std::string& sql) {
  const PgResult result(PQexec(connection_, sql.c_str()));
  if (result != nullptr && !is_error(result.get())) return ok();
  Error error = result != nullptr ? error_of(result.get()) : lost(Code::kUnavailable);
  if (!is_connected()) {
    disconnect();
  } else if (PQtransactionStatus(connection_) != PQTRANS_IDLE) {
    const PgResult undone(PQexec(connection_, "ROLLBACK"));
  }
  return error;
}

Result<void> PgConnection::query(std::string_view sql, const std::vector<std::string>& params, OnRow on_row) {
  SKEP_CHECK(connection_ != nullptr, "ensure() comes first");
  const ParamArrays arrays(params);
  Result<void> outcome = ok();
  if (PQsendQueryParams(connection_, std::string(sql).c_str(), arrays.count(), nullptr, arrays.values.data(),
                        arrays.lengths.data(), arrays.formats.data(), 1) == 0) {
    outcome = lost(Code::kUnavailable);
  } else {
    PQsetSingleRowMode(connection_);
  }
  // To the end of the answer also after an error: only then is the statement over, and it stands.
  for (PgResult result(PQgetResult(connection_)); result != nullptr; result.reset(PQgetResult(connection_))) {
    if (!outcome) continue;
    if (is_error(result.get())) outcome = error_of(result.get());
    for (int row = 0; outcome && on_row && row < PQntuples(result.get()); ++row) {
      outcome = on_row(PgRow(result.get(), row));
    }
  }
  if (!is_connected()) {
    if (outcome) outcome = lost(Code::kUnavailable);
    disconnect();
  }
  return outcome;
}

// ---- transactions in one round trip ----

struct PgConnection::Answer {
  bool is_ok = false;
  bool has_state = false;
  Error error;
};

PgConnection::Answer PgConnection::receive() {
  Answer answer;
  bool is_first = true;
  for (PgResult result(PQgetResult(connection_)); result != nullptr; result.reset(PQgetResult(connection_))) {
    if (std::exchange(is_first, false)) answer.is_ok = true;
    if (!answer.is_ok || !is_error(result.get())) continue;
    answer.is_ok = false;
    answer.has_state = !state_of(result.get()).empty();
    answer.error = error_of(result.get());
  }
  return answer;
}

Result<void> PgConnection::send(const PgCall& call) {
  const auto [prepared, is_new] = prepared_.try_emplace(call.sql, next_name_);
  const std::string name = "skep" + std::to_string(prepared->second);
  awaits_prepare_.push_back(is_new);
  if (is_new) {
    ++next_name_;
    if (PQsendPrepare(connection_, name.c_str(), std::string(call.sql).c_str(), 0, nullptr) == 0) {
      return lost(Code::kUnavailable);
    }
  }
  const ParamArrays arrays(call.params);
  if (PQsendQueryPrepared(connection_, name.c_str(), arrays.count(), arrays.values.data(),
                          arrays.lengths.data(), arrays.formats.data(), 1) == 0) {
    return lost(Code::kUnavailable);
  }
  return ok();
}

Result<void> PgConnection::receive_all(const std::vector<PgCall>& sent) {
  Result<void> outcome = ok();
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const bool is_commit = i + 1 == sent.size();
    for (int part = awaits_prepare_[i] ? 0 : 1; part < 2; ++part) {
      const Answer answer = receive();
      if (answer.is_ok) continue;
      if (part == 0) prepared_.erase(sent[i].sql);  // next time under another name
      if (!outcome) continue;
      // An answer with a SQLSTATE before that of COMMIT: the server gave up by itself, COMMIT was not
      // reached.
      const bool is_known = answer.has_state && (!is_commit || is_connected());
      outcome = is_known ? answer.error : lost(Code::kUnknownOutcome);
    }
  }
  const PgResult sync(PQgetResult(connection_));
  if (is_connected() &&
      (PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC || PQexitPipelineMode(connection_) == 0)) {
    // Nobody knows what comes next. COMMIT's own answer stands.
    disconnect();
    return outcome;
  }
  if (!is_connected()) {
    disconnect();
  } else if (!outcome) {
    const PgResult undone(PQexec(connection_, "ROLLBACK"));
  }
  return outcome;
}

Result<void> PgConnection::transact(std::string_view begin, const std::vector<PgCall>& calls) {
  SKEP_CHECK(connection_ != nullptr, "ensure() comes first");
  std::vector<PgCall> all;
  all.reserve(calls.size() + 2);
  all.push_back({begin, {}});
  all.insert(all.end(), calls.begin(), calls.end());
  all.push_back({"COMMIT", {}});
  awaits_prepare_.clear();
  if (PQenterPipelineMode(connection_) == 0) return lost(Code::kUnavailable);
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto sent = send(all[i]);
    if (sent) continue;
    // Some of COMMIT may be on its way, or nothing.
    if (i + 1 == all.size()) sent = lost(Code::kUnknownOutcome);
    disconnect();
    return sent;
  }
  if (PQpipelineSync(connection_) == 0) {
    Error error = lost(Code::kUnknownOutcome);
    disconnect();
    return error;
  }
  return receive_all(all);
}

}  // namespace skep::store
