// SPDX-License-Identifier: Apache-2.0
#include "sim/shared_store.h"

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "sim/world.h"

namespace skep::sim {
namespace {

// As the connections of store/postgres_connection.cc have them, about.
constexpr Duration kConnectPatience = seconds(2);
constexpr Duration kAnswerPatience = seconds(5);
// What was in the manager's own buffers when it was stopped goes out when it goes on.
constexpr double kHalfSent = 0.3;

}  // namespace

// What one life of a manager has to do with the store.
struct SharedStore::Connection : std::enable_shared_from_this<SharedStore::Connection> {
  Connection(World& w, std::shared_ptr<Process> p, Place from)
      : world(w), process(std::move(p)), place(from) {}

  template <class T>
  struct Flight {
    std::function<Result<T>()> act;  // at the store, at one moment
    UniqueFunction<void(Result<T>)> done;
    std::string what;
    TimerId timer = 0;
    bool is_answered = false;
  };
  template <class T>
  using FlightPtr = std::shared_ptr<Flight<T>>;

  Duration delay() {
    const Duration most = std::min<Duration>(world.faults.message_delay_max / 10, milliseconds(50));
    return microseconds(100) + world.up_to(most);
  }
  // Connections that ended: a claim counts until the next one.
  std::uint64_t losses() const { return own_losses + world.store_failovers; }
  void lose(std::string_view how) {
    ++own_losses;
    world.event(how, "of manager " + std::to_string(place));
    world.trouble();
  }

  // `takes`: of the work at the store.
  template <class T>
  void call(std::string what, Duration takes, std::function<Result<T>()> act,
            UniqueFunction<void(Result<T>)> done) {
    if (process->is_dead()) return;
    auto flight = std::make_shared<Flight<T>>();
    flight->act = std::move(act);
    flight->done = std::move(done);
    flight->what = std::move(what);
    const Instant now = world.now();
    flight->timer = process->post_at(process->now() + kAnswerPatience, [self = shared_from_this(), flight] {
      if (flight->is_answered) return;
      self->lose("connection to the store lost: no answer");
      self->template finish<T>(flight, fail(Code::kUnknownOutcome, "the store does not answer, by script"));
    });
    if (now < world.store_away_until) return refuse<T>(flight, now + delay());
    const Instant cut = world.cuts.until(place, kStorePlace, now);
    if (cut == kNoInstant) return travel<T>(flight, now + delay() + takes);
    if (world.random.chance(0.5)) return refuse<T>(flight, now + kConnectPatience);
    if (!world.random.chance(0.4)) return;
    world.event("call to the store goes on late", flight->what);
    travel<T>(flight, cut + world.up_to(seconds(1)));
  }

 private:
  // It was not sent: nobody is there.
  template <class T>
  void refuse(const FlightPtr<T>& flight, Instant when) {
    world.trouble();
    world.executor.post_at(when, [self = shared_from_this(), flight] {
      self->template answer<T>(flight, fail(Code::kUnavailable, "the store is not reached, by script"));
    });
  }
  template <class T>
  void travel(const FlightPtr<T>& flight, Instant when) {
    world.executor.post_at(when, [self = shared_from_this(), flight] { self->template arrive<T>(flight); });
  }
  template <class T>
  void arrive(const FlightPtr<T>& flight) {
    if (process->is_dead()) {
      const bool is_lost = world.random.chance(0.5);
      world.event(is_lost ? "commit in flight at a crash, lost" : "commit in flight at a crash, stored",
                  flight->what);
      if (!is_lost) (void)flight->act();
      return;
    }
    if (process->is_stopped() && world.random.chance(kHalfSent)) {
      world.event("call to the store waits in a manager that stands still", flight->what);
      process->post([self = shared_from_this(), flight] { self->template arrive<T>(flight); });
      return;
    }
    if (world.now() < world.store_away_until) return;  // and so is the connection
    Result<T> result = flight->act();
    const Instant cut = world.cuts.until(kStorePlace, place, world.now());
    if (cut != kNoInstant && world.random.chance(0.7)) return;
    const Instant from = std::max(world.now(), cut);
    world.executor.post_at(from + delay(),
                           [self = shared_from_this(), flight, result = std::move(result)]() mutable {
                             self->template answer<T>(flight, std::move(result));
                           });
  }
  template <class T>
  void answer(const FlightPtr<T>& flight, Result<T> result) {
    process->post([self = shared_from_this(), flight, result = std::move(result)]() mutable {
      self->template finish<T>(flight, std::move(result));
    });
  }
  template <class T>
  void finish(const FlightPtr<T>& flight, Result<T> result) {
    if (std::exchange(flight->is_answered, true)) return;
    process->cancel(flight->timer);
    flight->done(std::move(result));
  }

 public:
  World& world;
  const std::shared_ptr<Process> process;
  const Place place;
  store::MemberId member = 0;
  std::uint64_t own_losses = 1;
  std::map<ShardId, std::uint64_t> claimed_at;  // losses() then
};

namespace {

using Connection = SharedStore::Connection;

// ---- commits ----

class SharedSession final : public store::Session {
 public:
  explicit SharedSession(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  void commit(std::vector<store::ShardBatch> batches, store::Sync sync, CommitDone done) override {
    Connection& connection = *connection_;
    World& world = connection.world;
    world.counters.add(sync == store::Sync::kDurable ? "durable commits" : "soft commits");
    world.step();
    if (has_void_claim(batches)) {
      world.event("commit of a claim before the loss of its connection");
      return connection.process->post([done = std::move(done)]() mutable {
        done(fail(Code::kFenced, "the connection was lost since the shard was taken, by script"));
      });
    }
    Duration takes = microseconds(300) + world.up_to(milliseconds(sync == store::Sync::kSoft ? 1 : 8));
    if (world.random.chance(world.faults.commit_slow)) {
      takes += world.up_to(world.faults.commit_slow_max);
      world.event("commit slow");
      world.slow_commits += takes;
      if (takes > seconds(1)) world.trouble();
    }
    const std::string what = "commit of " + std::to_string(batches.size()) + " shards";
    connection.call<void>(
        what, takes,
        [connection = connection_, batches = std::move(batches), sync] {
          return write(*connection, batches, sync);
        },
        [connection = connection_, done = std::move(done)](Result<void> result) mutable {
          if (!result) connection->world.trouble();
          if (!result && result.error().code == Code::kUnknownOutcome)
            result = told(connection->world.config.breakage, std::move(result));
          done(std::move(result));
        });
  }

  void read(std::vector<store::BlobKey> keys, ReadDone done) override {
    World& world = connection_->world;
    world.counters.add("blobs read from the disk", keys.size());
    connection_->call<std::vector<store::Blob>>(
        "read", world.up_to(milliseconds(3)),
        [&world, keys = std::move(keys)]() -> Result<std::vector<store::Blob>> {
          if (!world.random.chance(world.faults.read_refused)) return world.disk.read(keys);
          world.event("read refused");
          return fail(Code::kUnavailable, "the store does not read, by script");
        },
        [done = std::move(done)](Result<std::vector<store::Blob>> blobs) mutable {
          const bool is_unsure = !blobs && blobs.error().code == Code::kUnknownOutcome;
          if (is_unsure) blobs = fail(Code::kUnavailable, blobs.error().message);
          done(std::move(blobs));
        });
  }

 private:
  bool has_void_claim(const std::vector<store::ShardBatch>& batches) const {
    return std::any_of(batches.begin(), batches.end(), [this](const store::ShardBatch& batch) {
      const auto found = connection_->claimed_at.find(batch.shard);
      return found != connection_->claimed_at.end() && found->second != connection_->losses();
    });
  }

  // The breakages of an unknown outcome.
  static Result<void> told(Breakage breakage, Result<void> result) {
    if (breakage == Breakage::kUnknownAsRefused)
      return fail(Code::kUnavailable, "it was not written, by script");
    if (breakage == Breakage::kUnknownAsDone) return ok();
    return result;
  }

  static Result<void> write(Connection& connection, const std::vector<store::ShardBatch>& batches,
                            store::Sync sync) {
    World& world = connection.world;
    if (world.disk.is_full() || world.random.chance(world.faults.commit_refused)) {
      world.event(world.disk.is_full() ? "commit refused: disk full" : "commit refused");
      return fail(Code::kUnavailable, "the store does not write, by script");
    }
    if (!world.random.chance(world.faults.commit_unknown))
      return world.disk.write(batches, sync, connection.member);
    const bool is_written =
        world.random.chance(0.5) && world.disk.write(batches, sync, connection.member).has_value();
    connection.lose(is_written ? "commit unknown, written" : "commit unknown, not written");
    return fail(Code::kUnknownOutcome, "the connection was lost at COMMIT, by script");
  }

  std::shared_ptr<Connection> connection_;
};

// ---- membership ----

class Copies final : public store::RecordSink {
 public:
  void on_queue(QueueRecord record) override { queues.push_back(std::move(record)); }
  void on_task(TaskRecord record) override { tasks.push_back(std::move(record)); }
  void give(store::RecordSink& sink) {
    for (auto& record : queues) sink.on_queue(std::move(record));
    for (auto& record : tasks) sink.on_task(std::move(record));
  }

  std::vector<QueueRecord> queues;
  std::vector<TaskRecord> tasks;
};

class SharedMembership final : public store::Membership {
 public:
  SharedMembership(std::shared_ptr<Connection> connection, std::string address)
      : connection_(std::move(connection)), address_(std::move(address)) {}

  store::MemberId self() const override { return connection_->member; }

  void beat(bool is_leaving, UniqueFunction<void(Result<store::ClusterView>)> done) override {
    connection_->call<store::ClusterView>(
        "beat", microseconds(500),
        [connection = connection_, address = address_, is_leaving]() -> Result<store::ClusterView> {
          return connection->world.disk.beat(connection->member, address, is_leaving);
        },
        known<store::ClusterView>(std::move(done)));
  }

  void take(store::ShardAt seen, MakeSink make_sink, UniqueFunction<void(Result<Epoch>)> done) override {
    line_up([connection = connection_, seen, make_sink = std::move(make_sink),
             done = known<Epoch>(std::move(done))](UniqueFunction<void()> next) mutable {
      const std::uint64_t begun = connection->losses();
      auto copies = std::make_shared<Copies>();
      connection->call<Epoch>(
          "take", connection->world.up_to(milliseconds(4)),
          [connection, seen, copies]() -> Result<Epoch> {
            SKEP_TRY(const Epoch epoch, connection->world.disk.take(connection->member, seen));
            SKEP_TRY(connection->world.disk.load(seen.shard, epoch, *copies));
            return epoch;
          },
          [connection, begun, seen, copies, make_sink = std::move(make_sink), done = std::move(done),
           next = std::move(next)](Result<Epoch> epoch) mutable {
            if (epoch) {
              connection->claimed_at[seen.shard] = begun;
              copies->give(*make_sink(epoch.value()));
            }
            done(std::move(epoch));
            next();
          });
    });
  }

  void release(std::vector<store::ShardAt> shards, UniqueFunction<void(Result<void>)> done) override {
    change(
        "release",
        [connection = connection_, shards = std::move(shards)] { connection->world.disk.release(shards); },
        std::move(done));
  }

  void leave(UniqueFunction<void(Result<void>)> done) override {
    change(
        "leave", [connection = connection_] { connection->world.disk.leave(connection->member); },
        std::move(done));
  }

 private:
  // Takes and releases go one after the other.
  struct Line : std::enable_shared_from_this<Line> {
    std::deque<UniqueFunction<void(UniqueFunction<void()>)>> waiting;
    bool is_busy = false;

    void go() {
      if (is_busy || waiting.empty()) return;
      is_busy = true;
      auto work = std::move(waiting.front());
      waiting.pop_front();
      work([self = shared_from_this()] {
        self->is_busy = false;
        self->go();
      });
    }
  };

  void line_up(UniqueFunction<void(UniqueFunction<void()>)> work) {
    line_->waiting.push_back(std::move(work));
    line_->go();
  }
  void change(std::string what, std::function<void()> act, UniqueFunction<void(Result<void>)> done) {
    line_up([connection = connection_, what = std::move(what), act = std::move(act),
             done = known<void>(std::move(done))](UniqueFunction<void()> next) mutable {
      connection->call<void>(
          what, connection->world.up_to(milliseconds(2)),
          [act]() -> Result<void> {
            act();
            return ok();
          },
          [done = std::move(done), next = std::move(next)](Result<void> result) mutable {
            done(std::move(result));
            next();
          });
    });
  }
  // Whether it happened a membership does not tell apart.
  template <class T>
  static UniqueFunction<void(Result<T>)> known(UniqueFunction<void(Result<T>)> done) {
    return [done = std::move(done)](Result<T> result) mutable {
      if (!result && result.error().code == Code::kUnknownOutcome)
        return done(fail(Code::kUnavailable, result.error().message));
      done(std::move(result));
    };
  }

  std::shared_ptr<Connection> connection_;
  const std::string address_;
  std::shared_ptr<Line> line_ = std::make_shared<Line>();
};

}  // namespace

SharedStore::SharedStore(World& world, std::shared_ptr<Process> process, Place place)
    : connection_(std::make_shared<Connection>(world, std::move(process), place)) {}

SharedStore::~SharedStore() = default;

Result<Epoch> SharedStore::claim(ShardId) {
  return fail(Code::kInternal, "shards of a store that is shared are taken");
}

ShardId SharedStore::shard_count() const {
  return connection_->world.disk.shard_count();
}

Result<void> SharedStore::load(ShardId, Epoch, store::RecordSink&) {
  return fail(Code::kInternal, "shards of a store that is shared are taken");
}

Result<std::unique_ptr<store::Membership>> SharedStore::join(const std::string& address, Executor&) {
  World& world = connection_->world;
  const bool is_away = world.now() < world.store_away_until ||
                       world.cuts.is_cut(connection_->place, kStorePlace, world.now()) ||
                       world.cuts.is_cut(kStorePlace, connection_->place, world.now());
  if (is_away) return fail(Code::kUnavailable, "the store is not reached, by script");
  connection_->member = world.disk.join(address);
  return std::unique_ptr<store::Membership>(std::make_unique<SharedMembership>(connection_, address));
}

std::unique_ptr<store::Session> SharedStore::open_session(Executor&) {
  return std::make_unique<SharedSession>(connection_);
}

}  // namespace skep::sim
