// SPDX-License-Identifier: Apache-2.0
// A queue in a table of PostgreSQL, through libpq: rows that are deleted under SKIP LOCKED.
//
// A lease is a transaction that has deleted the rows and not committed: should its worker die, they are there
// again; completing is the commit, and so the only sync. BEGIN and DELETE go out as one pipeline. Statements
// are prepared and values binary. A batch is one INSERT of many rows. Bodies are stored EXTERNAL, which the
// documents advise for what does not compress. Nobody is told of new rows: who finds none looks again.
#include <libpq-fe.h>
#include <poll.h>

#include <cstdlib>
#include <set>

#include "driver.h"

namespace skep::bench::queue {
namespace {

constexpr int kLookAgainMs = 1;
constexpr int kBinary = 1;

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Rows = std::unique_ptr<PGresult, Clear>;

class Postgres {
 public:
  explicit Postgres(const Plan& plan) {
    const auto where = "host=" + plan.host + " port=" + std::to_string(plan.port) +
                       " user=postgres dbname=postgres client_encoding=UTF8 sslmode=disable";
    connection_ = PQconnectdb(where.c_str());
    if (PQstatus(connection_) != CONNECTION_OK) stop();
  }
  ~Postgres() { PQfinish(connection_); }
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;

  Rows run(const std::string& sql) { return checked(PQexec(connection_, sql.c_str())); }
  void prepare(const std::string& name, const std::string& sql) {
    checked(PQprepare(connection_, name.c_str(), sql.c_str(), 0, nullptr));
  }
  Rows execute(const std::string& name, std::span<const char* const> values, std::span<const int> sizes) {
    const std::vector<int> formats(values.size(), kBinary);
    return checked(PQexecPrepared(connection_, name.c_str(), static_cast<int>(values.size()), values.data(),
                                  sizes.data(), formats.data(), kBinary));
  }

  // Both in one write; the rows of the second.
  Rows execute_both(const std::string& first, const std::string& second) {
    if (PQenterPipelineMode(connection_) != 1) stop();
    for (const auto* name : {&first, &second}) {
      if (PQsendQueryPrepared(connection_, name->c_str(), 0, nullptr, nullptr, nullptr, kBinary) != 1) stop();
    }
    if (PQpipelineSync(connection_) != 1) stop();
    next_result();
    auto out = next_result();
    checked(PQgetResult(connection_));  // of the sync
    if (PQexitPipelineMode(connection_) != 1) stop();
    return out;
  }

 private:
  // A statement's result, and the null that ends it.
  Rows next_result() {
    auto out = checked(PQgetResult(connection_));
    if (PQgetResult(connection_) != nullptr) fail("postgres gave a second result");
    return out;
  }

  Rows checked(PGresult* result) {
    Rows out(result);
    const auto status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC) stop();
    return out;
  }

  [[noreturn]] void stop() { fail(std::string("postgres: ") + PQerrorMessage(connection_)); }

  PGconn* connection_ = nullptr;
};

class PostgresDriver final : public QueueDriver {
 public:
  explicit PostgresDriver(const Plan& plan) : postgres_(plan), table_(plan.queue) {
    std::string sql = "INSERT INTO " + table_ + " (body) VALUES ";
    for (std::size_t i = 1; i <= plan.batch; ++i)
      sql += (i > 1 ? ", ($" : "($") + std::to_string(i) + "::bytea)";
    postgres_.prepare("put", sql);
    postgres_.prepare("begin", "BEGIN");
    postgres_.prepare("commit", "COMMIT");
    prepare_take(plan.batch);
  }

  void enqueue(std::span<const std::string_view> bodies) override {
    values_.clear();
    sizes_.clear();
    for (const auto body : bodies) {
      values_.push_back(body.data());
      sizes_.push_back(static_cast<int>(body.size()));
    }
    const auto done = postgres_.execute("put", values_, sizes_);
    if (std::strtoull(PQcmdTuples(done.get()), nullptr, 10) != bodies.size())
      fail("postgres has not taken all rows");
  }

  void lease(std::size_t max, BodyViews& out) override {
    out.clear();
    rows_ = postgres_.execute_both("begin", prepare_take(max));
    for (int i = 0; i < PQntuples(rows_.get()); ++i) {
      out.emplace_back(PQgetvalue(rows_.get(), i, 0),
                       static_cast<std::size_t>(PQgetlength(rows_.get(), i, 0)));
    }
    if (!out.empty()) return;
    postgres_.execute("commit", {}, {});
    ::poll(nullptr, 0, kLookAgainMs);
  }

  void complete() override { postgres_.execute("commit", {}, {}); }

 private:
  // The limit stands in the text: with a parameter the planner would guess how many rows are meant.
  std::string prepare_take(std::size_t max) {
    const auto limit = std::to_string(max);
    const auto name = "take" + limit;
    if (prepared_.insert(max).second) {
      postgres_.prepare(name, "DELETE FROM " + table_ + " WHERE id = ANY (ARRAY (SELECT id FROM " + table_ +
                                  " ORDER BY id LIMIT " + limit + " FOR UPDATE SKIP LOCKED)) RETURNING body");
    }
    return name;
  }

  Postgres postgres_;
  std::string table_;
  Rows rows_;
  std::set<std::size_t> prepared_;
  std::vector<const char*> values_;
  std::vector<int> sizes_;
};

void setup(const Plan& plan) {
  Postgres postgres(plan);
  postgres.run("CREATE TABLE " + plan.queue + " (id bigserial PRIMARY KEY, body bytea NOT NULL)");
  postgres.run("ALTER TABLE " + plan.queue + " ALTER body SET STORAGE EXTERNAL");
}

std::uint64_t left(const Plan& plan) {
  Postgres postgres(plan);
  const auto rows = postgres.run("SELECT count(*) FROM " + plan.queue);
  return std::strtoull(PQgetvalue(rows.get(), 0, 0), nullptr, 10);
}

}  // namespace

Peer postgres_peer() {
  return {
      "postgresql",
      [](const Plan& plan) -> std::unique_ptr<QueueDriver> { return std::make_unique<PostgresDriver>(plan); },
      setup, left};
}

}  // namespace skep::bench::queue
