// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_membership.h"

#include "store/memory_tables.h"
#include "store/postgres_connection.h"
#include "store/postgres_load.h"
#include "store/postgres_values.h"
#include "store/sql_statements.h"
#include "store/store_pool.h"

namespace skep::store {
namespace {

class PostgresMembership final : public Membership {
 public:
  PostgresMembership(const std::string& conninfo, ShardId shard_count, PgClaims& claims, std::string address,
                     MemberId self, Executor& executor)
      : shard_count_(shard_count),
        claims_(claims),
        address_(std::move(address)),
        self_(self),
        executor_(executor),
        beats_(conninfo),
        shards_(conninfo),
        beat_thread_("skep-beat"),
        shard_thread_("skep-shards-db") {}

  MemberId self() const override { return self_; }
  void beat(bool is_leaving, UniqueFunction<void(Result<ClusterView>)> done) override {
    run(beat_thread_, std::move(done), [this, is_leaving] { return beat_now(is_leaving); });
  }
  void take(ShardAt seen, MakeSink make_sink, UniqueFunction<void(Result<Epoch>)> done) override {
    run(shard_thread_, std::move(done),
        [this, seen, make_sink = std::move(make_sink)]() mutable { return take_now(seen, make_sink); });
  }
  void release(std::vector<ShardAt> shards, UniqueFunction<void(Result<void>)> done) override {
    run(shard_thread_, std::move(done), [this, shards = std::move(shards)] { return release_now(shards); });
  }
  void leave(UniqueFunction<void(Result<void>)> done) override {
    run(shard_thread_, std::move(done), [this] { return leave_now(); });
  }

 private:
  template <class Done, class Work>
  void run(WorkThread& thread, Done done, Work work) {
    thread.post([this, done = std::move(done), work = std::move(work)]() mutable {
      auto result = work();
      executor_.post(
          [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
    });
  }
  Result<ClusterView> beat_now(bool is_leaving);
  Result<Epoch> take_now(ShardAt seen, MakeSink& make_sink);
  Result<void> release_now(const std::vector<ShardAt>& shards);
  Result<void> leave_now();

  const ShardId shard_count_;
  PgClaims& claims_;
  const std::string address_;
  const MemberId self_;
  Executor& executor_;
  PgConnection beats_;   // of its thread
  PgConnection shards_;  // of its thread
  WorkThread beat_thread_;
  WorkThread shard_thread_;
};

Result<ClusterView> PostgresMembership::beat_now(bool is_leaving) {
  SKEP_TRY(beats_.ensure());
  const std::string leaving(1, is_leaving ? '\1' : '\0');
  SKEP_TRY(beats_.query(sql::beat, {pg_bigint(static_cast<std::int64_t>(self_)), address_, leaving}));
  ClusterView view;
  SKEP_TRY(beats_.query(sql::owners, {}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(const auto epoch, pg_read_number(row.bytes(1)));
    SKEP_TRY(const auto owner, pg_read_number(row.bytes(2)));
    view.shards.push_back({static_cast<Epoch>(epoch), static_cast<MemberId>(owner)});
    return ok();
  }));
  if (view.shards.size() != shard_count_)
    return fail(Code::kCorrupt, "skep.shards has " + std::to_string(view.shards.size()) +
                                    " rows in place of " + std::to_string(shard_count_));
  SKEP_TRY(beats_.query(sql::members, {}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(const auto member, pg_read_number(row.bytes(0)));
    SKEP_TRY(const bool is_going, pg_read_bool(row.bytes(2)));
    SKEP_TRY(const auto silence, pg_read_number(row.bytes(3)));
    view.members.push_back(
        {static_cast<MemberId>(member), std::string(row.bytes(1)), is_going, microseconds(silence)});
    return ok();
  }));
  return view;
}

Result<Epoch> PostgresMembership::take_now(ShardAt seen, MakeSink& make_sink) {
  if (seen.shard >= shard_count_) return no_such_shard(seen.shard, shard_count_);
  const auto begun = claims_.begin_claim();
  SKEP_TRY(shards_.ensure());
  std::int64_t taken = 0;
  SKEP_TRY(shards_.query(
      sql::take, {pg_bigint(seen.shard), pg_bigint(seen.epoch), pg_bigint(static_cast<std::int64_t>(self_))},
      [&](const PgRow& row) -> Result<void> {
        SKEP_TRY(taken, pg_read_number(row.bytes(0)));
        return ok();
      }));
  if (taken == 0) {
    return fail(Code::kFenced, "shard " + std::to_string(seen.shard) + " has another owner since");
  }
  const auto epoch = static_cast<Epoch>(taken);
  const auto sink = make_sink(epoch);
  SKEP_TRY(load_postgres_shard(shards_, seen.shard, epoch, *sink));
  claims_.end_claim(seen.shard, begun);
  return epoch;
}

Result<void> PostgresMembership::release_now(const std::vector<ShardAt>& shards) {
  SKEP_TRY(shards_.ensure());
  PgArray numbers(PgType::kInt8), epochs(PgType::kInt8);
  for (const auto& shard : shards) {
    numbers.add(std::int64_t{shard.shard});
    epochs.add(std::int64_t{shard.epoch});
  }
  return shards_.query(sql::release, {numbers.take(), epochs.take()});
}

Result<void> PostgresMembership::leave_now() {
  SKEP_TRY(shards_.ensure());
  const auto self = pg_bigint(static_cast<std::int64_t>(self_));
  SKEP_TRY(shards_.query(sql::release_all, {self}));
  return shards_.query(sql::leave, {self});
}

}  // namespace

Result<std::unique_ptr<Membership>> join_postgres(const std::string& conninfo, ShardId shard_count,
                                                  PgClaims& claims, const std::string& address,
                                                  Executor& executor) {
  PgConnection connection(conninfo);
  SKEP_TRY(connection.ensure());
  SKEP_TRY(connection.query(sql::forget_members, {}));
  std::int64_t self = 0;
  SKEP_TRY(connection.query(sql::join, {address}, [&](const PgRow& row) -> Result<void> {
    SKEP_TRY(self, pg_read_number(row.bytes(0)));
    return ok();
  }));
  return std::unique_ptr<Membership>(std::make_unique<PostgresMembership>(
      conninfo, shard_count, claims, address, static_cast<MemberId>(self), executor));
}

}  // namespace skep::store
