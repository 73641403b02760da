// SPDX-License-Identifier: Apache-2.0
// shard_host.h - owns shards on one executor: gathers requests, applies them, commits them as one, then
// answers.
//
// The loop: take every request that waits, apply each to its shard, hand all changes to the store as one
// commit, and when that is durable give the answers. While a commit is under way requests are applied as they
// come, and what they change gathers as the next batch: group commit without timers or locks, and the disk
// never waits for the core. Leases are handed out as soon as they are applied (queue/effects.h). After a
// commit that failed, or whose outcome is unknown, every shard is claimed at a higher epoch and loaded again
// before anything else is served; what was applied since is refused.
//
// Where managers share the store, shards come and go while others are served (shard_host_sharing.cc); who
// decides that is the shard keeper. A shard that is not served here is none of Turn's.
//
// Threads:   everything on the executor given, but pending() which is for that executor too.
// Errors:    a request's own refusal, or what became of its commit: kUnavailable (not written),
// kUnknownOutcome. Ownership: borrows executor, store and listener, which must outlive it.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "manager/body_cache.h"
#include "queue/shard.h"
#include "store/store.h"

namespace skep::manager {

using Blob = store::Blob;

struct ShardHostOptions {
  queue::ShardOptions shard;
  std::size_t pending_max = 20'000;                       // requests that wait for their batch
  std::size_t body_cache_bytes = std::size_t{256} << 20;  // of recent bodies
  std::size_t timer_events_max = 10'000;                  // of time alone, in one batch
  Duration reload_first = milliseconds(200);  // between attempts to load after a failure, doubling
  Duration reload_max = seconds(5);
};

enum class HostState : std::uint8_t { kLoading, kServing, kUnavailable, kStopped };
std::string_view host_state_name(HostState state);

// What happened, after it is durable.
class HostListener {
 public:
  virtual ~HostListener() = default;
  // `state` is the task's now, which may be ahead of what is durable; nothing if it is gone by now.
  virtual void on_notice(const queue::Notice& notice, std::optional<TaskState> state) = 0;
  // What was judged of an attempt that ended without a result.
  virtual void on_decision(const queue::TaskDecision& decision) = 0;
  virtual void on_state(HostState state, const std::string& problem) = 0;
  // Once after each batch that changed something.
  virtual void on_batch() = 0;
};

struct GrantedLease {
  queue::LeasedTask task;
  Blob body;  // never null
};

class ShardHost {
 public:
  // What a request may touch while it is applied.
  class Turn {
   public:
    Instant now() const { return now_; }
    const std::vector<std::unique_ptr<queue::Shard>>& shards() const { return host_.shards_; }
    // Null if this host does not own it.
    queue::Shard* shard(ShardId id);
    template <class Command>
    auto apply(queue::Shard& shard, const Command& command) {
      auto reply = shard.apply(command, now_, host_.effects_[shard.id()]);
      if constexpr (std::is_same_v<Command, queue::Enqueue>) host_.hold_bodies(command, reply);
      return reply;
    }
    // The next shard in turn for new tasks.
    queue::Shard& next_shard();

   private:
    friend class ShardHost;
    Turn(ShardHost& host, Instant now) : host_(host), now_(now) {}
    ShardHost& host_;
    Instant now_;
  };

  ShardHost(Executor& executor, store::Store& store, HostListener& listener, ShardHostOptions options,
            Random random, Logger log);
  ~ShardHost();
  ShardHost(const ShardHost&) = delete;
  ShardHost& operator=(const ShardHost&) = delete;

  // ---- where managers share the store; in place of start() ----
  // Nothing is served before the first serve_until(). `on_lost` is called after drop_all() that it did not
  // ask for: a commit failed, or the time ran out.
  void start_sharing(UniqueFunction<void()> on_lost);
  // From `until` on nothing is applied. Ends a time in which it was kUnavailable.
  void serve_until(Instant until);
  // Serves a shard, all of whose records are loaded, from now on.
  void take_on(std::unique_ptr<queue::Shard> shard);
  // Serves it no more. `done` runs when what was applied to it is committed, or lost.
  void give_up(ShardId shard, UniqueFunction<void()> done);
  // Serves none any more. What was applied and is not handed to the store is refused with `why`.
  void drop_all(const Error& why);

  // Claims and loads every shard; blocks. On an error the host is kUnavailable and tries again by itself,
  // unless the caller gives up and destroys it.
  Result<void> start();
  // Answers everything that waits with kUnavailable and takes nothing more, once what is under way is
  // committed.
  void stop(UniqueFunction<void()> stopped);

  // Runs `work` in the next batch and `done` when that batch is durable, with work's reply; or with the error
  // of the commit. T may be void.
  template <class T>
  void submit(UniqueFunction<Result<T>(Turn&)> work, UniqueFunction<void(Result<T>)> done);

  // Leases to `command.worker`, as soon as there is something, until `wait_until`. `is_wanted` is asked
  // before anything is leased: false ends the wait. `done` gets an empty list when the wait is over.
  struct Acquire {
    queue::Lease command;
    Instant wait_until{};
    UniqueFunction<bool()> is_wanted;  // empty is always true
    UniqueFunction<void(Result<std::vector<GrantedLease>>)> done;
  };
  void acquire(Acquire request);
  // Answers the parked acquires of a worker with nothing, now.
  void cut_short(const std::string& worker);
  // The same to those that are not wanted any more.
  void drop_unwanted();

  // Bodies or results, from the cache or the store; null for what is not there.
  void read(std::vector<store::BlobKey> keys, UniqueFunction<void(Result<std::vector<Blob>>)> done);
  // The same one by one where they can not be read together, so that a damaged one does not hide the others;
  // never null: kNotFound for what is not there.
  void read_each(std::vector<store::BlobKey> keys, UniqueFunction<void(std::vector<Result<Blob>>)> done);

  // To be called every now and then: a pause between two calls is a standstill of this process, in which it
  // could hear nobody, so that leases last as much longer.
  void note_alive();
  // Since when the commit under way is; kNoInstant if none is.
  Instant committing_since() const { return is_committing_ ? commit_began_ : kNoInstant; }

  HostState state() const { return state_; }
  const std::string& problem() const { return problem_; }
  const std::vector<std::unique_ptr<queue::Shard>>& shards() const { return shards_; }
  std::size_t pending() const { return pending_.size() + applied_.size(); }
  struct CommitStats {
    std::uint64_t commits = 0;
    std::uint64_t failed = 0;
    std::uint64_t requests = 0;       // answered by them
    std::uint64_t payload_bytes = 0;  // bodies and results in them
    Duration last{};                  // from the hand-over to the reply
    Tally took{latency_bounds()};     // the same of all, in seconds
    Tally changes{{1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000}};  // of records, in each
  };
  // Of all shards since this host started: reloads do not set them back.
  queue::Totals totals() const;
  const CommitStats& commit_stats() const { return commit_stats_; }

 private:
  class Request {
   public:
    virtual ~Request() = default;
    virtual void apply(Turn& turn) = 0;
    virtual void finish(const Result<void>& commit) = 0;
  };
  template <class T>
  class TypedRequest;
  struct Parked {
    Acquire request;
    TimerId timer = 0;
  };
  // A shard that is given up, until what was applied to it is committed.
  struct Leaving {
    std::unique_ptr<queue::Shard> shard;
    UniqueFunction<void()> done;
  };

  void push(std::unique_ptr<Request> request);
  void forgive_since(Instant begin);
  void schedule();
  void run_batch();
  void apply_pending();
  void commit_applied();
  void serve_parked(Turn& turn);
  void serve_each_parked(Turn& turn);
  void end_waits(const std::function<bool(Acquire&)>& is_over);
  bool try_acquire(Turn& turn, Acquire& request);
  void hand_out(std::string worker, std::vector<queue::LeasedTask> leased,
                UniqueFunction<void(Result<std::vector<GrantedLease>>)> done);
  void give_back_unreadable(const std::string& worker, const queue::LeasedTask& task, const Error& problem);
  std::vector<store::ShardBatch> take_changes(bool& needs_sync);
  void count_changes(const std::vector<store::ShardBatch>& batches);
  void on_committed(Result<void> result);
  void tell(const std::vector<queue::Notice>& notices);
  void fail_pending(const Error& error);
  void set_timer();
  bool has_uncommitted() const { return pending() > 0 || !effects_.empty(); }  // beside what is in flight
  Result<void> claim_and_load();
  void reload_later(const Error& why);
  void set_state(HostState state, std::string problem);
  void hold_bodies(const queue::Enqueue& command, const Result<queue::EnqueueReply>& reply);
  void stop_if_idle();
  static Error out_of_time();
  bool is_out_of_time() const { return is_sharing_ && executor_.now() >= serve_until_; }
  void end_leaving();
  void lose_all(const Error& why);
  Epoch epoch_of(ShardId shard) const;  // also of one that is leaving

  Executor& executor_;
  store::Store& store_;
  HostListener& listener_;
  const ShardHostOptions options_;
  Random random_;
  Logger log_;
  std::unique_ptr<store::Session> session_;

  HostState state_ = HostState::kLoading;
  std::string problem_;
  std::vector<std::unique_ptr<queue::Shard>> shards_;  // by id
  bool is_sharing_ = false;
  Instant serve_until_ = kNoInstant;
  std::vector<Leaving> leaving_;
  UniqueFunction<void()> on_lost_;
  // A request is pending, then applied (and its effects here), then in flight with its commit.
  std::vector<std::unique_ptr<Request>> pending_;
  std::vector<std::unique_ptr<Request>> applied_;
  std::unordered_map<ShardId, queue::Effects> effects_;
  bool has_ticked_ = false;  // since the last commit: results may have become pullable again
  struct InFlight {
    std::vector<std::unique_ptr<Request>> requests;
    std::vector<queue::Notice> notices;
    std::vector<queue::TaskDecision> decisions;
    bool has_ticked = false;
    std::uint64_t bodies_mark = 0;
    queue::Totals totals;
  };
  InFlight in_flight_;
  std::list<Parked> parked_;
  bool is_committing_ = false;
  bool is_scheduled_ = false;
  std::size_t next_shard_ = 0;
  std::size_t next_lease_shard_ = 0;
  int gathered_rounds_ = 0;
  // When all that are parked had been looked at; none while shards have come since.
  std::optional<std::uint64_t> openings_seen_;
  Instant looked_at_ = kNoInstant;
  TimerId timer_ = 0;
  Duration reload_delay_{};
  Instant commit_began_{};
  Instant alive_at_ = kNoInstant;
  Instant forgiven_until_ = kNoInstant;
  CommitStats commit_stats_;
  queue::Totals totals_before_;     // of the shards that were loaded before those at hand
  queue::Totals totals_committed_;  // as of the last commit
  UniqueFunction<void()> stopped_;

  BodyCache bodies_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // replies that come after the end are dropped
};

template <class T>
class ShardHost::TypedRequest final : public Request {
 public:
  TypedRequest(UniqueFunction<Result<T>(Turn&)> work, UniqueFunction<void(Result<T>)> done)
      : work_(std::move(work)), done_(std::move(done)) {}

  void apply(Turn& turn) override { reply_.emplace_back(work_(turn)); }
  void finish(const Result<void>& commit) override {
    if (!commit) {
      done_(commit.error());
    } else {
      done_(std::move(reply_.front()));
    }
  }

 private:
  UniqueFunction<Result<T>(Turn&)> work_;
  UniqueFunction<void(Result<T>)> done_;
  std::vector<Result<T>> reply_;  // none before apply; Result has no empty state
};

template <class T>
void ShardHost::submit(UniqueFunction<Result<T>(Turn&)> work, UniqueFunction<void(Result<T>)> done) {
  push(std::make_unique<TypedRequest<T>>(std::move(work), std::move(done)));
}

}  // namespace skep::manager
