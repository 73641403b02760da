// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_store.h"

#include "store/memory_tables.h"
#include "store/postgres_batch.h"
#include "store/postgres_connection.h"
#include "store/postgres_load.h"
#include "store/postgres_membership.h"
#include "store/postgres_rows.h"
#include "store/postgres_schema.h"
#include "store/postgres_stats.h"
#include "store/sql_statements.h"
#include "store/store_pool.h"

namespace skep::store {
namespace {

constexpr Duration kStatsAge = seconds(10);

// Which shards were claimed since the last loss of a connection that commits. Every loss makes all older
// claims void: what was committed softly may be gone.
struct Claims {
  explicit Claims(ShardId shard_count) : claimed_at(shard_count, 0) {}
  std::uint64_t losses = 1;
  std::vector<std::uint64_t> claimed_at;  // 0: never by this store
};

Result<void> read_blobs(PgConnection& connection, std::string_view statement,
                        const std::vector<BlobKey>& keys, BlobKind kind, std::vector<Blob>& blobs) {
  PgColumns wanted;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].kind != kind) continue;
    wanted.add(keys[i].task);
    places.push_back(i);
  }
  if (places.empty()) return ok();
  return connection.query(statement, wanted.take(), [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(const auto place, pg_read_number(row.bytes(0)));
    SKEP_TRY(const auto checksum, pg_read_number(row.bytes(1)));
    if (place < 1 || static_cast<std::size_t>(place) > places.size()) {
      return fail(Code::kCorrupt, "the database answered a row that nobody asked for");
    }
    const std::size_t at = places[static_cast<std::size_t>(place) - 1];
    if (blob_checksum(keys[at].task, row.bytes(2)) != checksum) {
      return fail(Code::kCorrupt, "the " + std::string(kind == BlobKind::kBody ? "body" : "result") +
                                      " of task " + keys[at].task.to_string() +
                                      ": its checksum does not match");
    }
    blobs[at] = std::make_shared<const std::string>(row.bytes(2));
    return ok();
  });
}

class PostgresStore final : public Store, private PgClaims {
 public:
  PostgresStore(std::string conninfo, ShardId shard_count, StoreStats stats)
      : conninfo_(std::move(conninfo)),
        shard_count_(shard_count),
        control_(conninfo_),
        claims_(shard_count),
        stats_(Stats{std::move(stats), clock_.now(), false}),
        stats_thread_("skep-stats") {}

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override { return shard_count_; }
  Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) override;
  bool is_shared() const override { return true; }
  Result<std::unique_ptr<Membership>> join(const std::string& address, Executor& executor) override;
  std::unique_ptr<Session> open_session(Executor& executor) override;
  StoreStats stats() const override;
  Result<void> close() override;

  const std::string& conninfo() const { return conninfo_; }
  // Of a session: before it commits, and when it has lost its connection.
  Result<void> check_claims(const std::vector<ShardBatch>& batches) const;
  void revoke_claims() {
    claims_.with([](Claims& claims) { ++claims.losses; });
  }

 private:
  struct Stats {
    StoreStats last;
    Instant at{};
    bool is_under_way = false;
  };
  // PgClaims: a loss while the claim is under way makes it void, too.
  std::uint64_t begin_claim() const override {
    return claims_.with([](const Claims& claims) { return claims.losses; });
  }
  void end_claim(ShardId shard, std::uint64_t begun) override {
    claims_.with([&](Claims& claims) { claims.claimed_at[shard] = begun; });
  }

  const std::string conninfo_;
  const ShardId shard_count_;
  const SystemClock clock_;
  bool is_closed_ = false;
  PgConnection control_;  // claims and loads
  Guarded<Claims> claims_;
  mutable Guarded<Stats> stats_;
  mutable WorkThread stats_thread_;
};

// What a session does on its threads, each over a connection of its own.
class PostgresWork {
 public:
  explicit PostgresWork(PostgresStore& store)
      : store_(store), commits_(store.conninfo()), reads_(store.conninfo()) {}

  Result<void> commit(const std::vector<ShardBatch>& batches, Sync sync) {
    bool was_lost = false;
    const auto connected = commits_.ensure(&was_lost);
    if (was_lost) store_.revoke_claims();
    SKEP_TRY(connected);
    SKEP_TRY(store_.check_claims(batches));
    const auto statements = statements_of(batches, sync);
    if (statements.empty()) return ok();
    auto result = commits_.transact("BEGIN", statements);
    if (!commits_.is_connected()) store_.revoke_claims();
    return result;
  }

  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys) {
    std::vector<Blob> blobs(keys.size());
    SKEP_TRY(reads_.ensure());
    SKEP_TRY(read_blobs(reads_, sql::read_bodies, keys, BlobKind::kBody, blobs));
    SKEP_TRY(reads_.ensure());
    SKEP_TRY(read_blobs(reads_, sql::read_results, keys, BlobKind::kResult, blobs));
    return blobs;
  }

  void after_commit() {}

 private:
  PostgresStore& store_;
  PgConnection commits_;
  PgConnection reads_;
};

// ---- ownership ----

Result<Epoch> PostgresStore::claim(ShardId shard) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  if (shard >= shard_count_) return no_such_shard(shard, shard_count_);
  const auto losses = begin_claim();
  SKEP_TRY(control_.ensure());
  std::int64_t epoch = 0;
  SKEP_TRY(control_.query(sql::claim, {pg_bigint(shard)}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(epoch, pg_read_number(row.bytes(0)));
    return ok();
  }));
  if (epoch == 0)
    return fail(Code::kCorrupt, "shard " + std::to_string(shard) + " has no row in skep.shards");
  end_claim(shard, losses);
  return static_cast<Epoch>(epoch);
}

Result<void> PostgresStore::check_claims(const std::vector<ShardBatch>& batches) const {
  return claims_.with([&](const Claims& claims) -> Result<void> {
    for (const auto& batch : batches) {
      if (batch.shard >= shard_count_) return no_such_shard(batch.shard, shard_count_);
      const auto claimed_at = claims.claimed_at[batch.shard];
      if (claimed_at == 0 || claimed_at == claims.losses) continue;  // the database knows whose it is
      return fail(Code::kFenced, "the connection to PostgreSQL was lost since shard " +
                                     std::to_string(batch.shard) + " was claimed: claim and load it again");
    }
    return ok();
  });
}

Result<void> PostgresStore::load(ShardId shard, Epoch epoch, RecordSink& sink) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  if (shard >= shard_count_) return no_such_shard(shard, shard_count_);
  return load_postgres_shard(control_, shard, epoch, sink);
}

Result<std::unique_ptr<Membership>> PostgresStore::join(const std::string& address, Executor& executor) {
  if (is_closed_) return fail(Code::kUnavailable, "the store is closed");
  return join_postgres(conninfo_, shard_count_, *this, address, executor);
}

// ---- figures, sessions, closing ----

StoreStats PostgresStore::stats() const {
  const Instant now = clock_.now();
  const auto [last, is_due] = stats_.with([&](Stats& stats) {
    const bool is_old = now - stats.at >= kStatsAge && !stats.is_under_way;
    if (is_old) stats.is_under_way = true;
    return std::pair(stats.last, is_old);
  });
  if (!is_due) return last;
  stats_thread_.post([this] {
    auto found = ask_postgres_stats(conninfo_);
    stats_.with([&](Stats& stats) {
      if (found) stats.last = std::move(found.value());
      stats.at = clock_.now();
      stats.is_under_way = false;
    });
  });
  return last;
}

std::unique_ptr<Session> PostgresStore::open_session(Executor& executor) {
  return std::make_unique<ThreadedSession<PostgresWork>>(executor, *this);
}

Result<void> PostgresStore::close() {
  if (std::exchange(is_closed_, true)) return ok();
  Result<void> flushed = control_.ensure();
  if (flushed) flushed = control_.transact("BEGIN", statements_of({}, Sync::kDurable));
  control_.disconnect();
  return flushed;
}

}  // namespace

Result<std::unique_ptr<Store>> open_postgres(const PostgresOptions& options, Logger log) {
  PgConnection connection(options.conninfo);
  SKEP_TRY(const auto schema, migrate_postgres(connection, options.shard_count));
  SKEP_TRY(auto stats, ask_postgres_stats(options.conninfo));
  log.info(schema.was_made ? "a new store was made" : "the store was opened",
           {{"database", stats.place}, {"shards", schema.shard_count}, {"durability", stats.durability}});
  return std::unique_ptr<Store>(
      std::make_unique<PostgresStore>(options.conninfo, schema.shard_count, std::move(stats)));
}

}  // namespace skep::store
