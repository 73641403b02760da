// SPDX-License-Identifier: Apache-2.0
#include "manager/shard_host.h"

#include <algorithm>

#include "base/check.h"

namespace skep::manager {
namespace {

// A commit that took longer, or a pause between two signs of life, kept us from hearing workers.
constexpr Duration kSlowCommit = seconds(1);
// A commit under no load begins a few microseconds later for it, under load it takes in twice as many
// requests.
// Who waits for work is looked at again after so long even if nothing new came: time alone may have brought
// it some.
constexpr Duration kLookAgain = seconds(1);
// A task whose body can not be read now is not given again before: others come first.
constexpr Duration kUnreadablePause = seconds(5);
constexpr int kGatherRounds = 8;
constexpr Duration kStandstill = seconds(1);

// The core and the store do not know each other; their records of a change are alike, and this is the one
// place that says so.
store::Mutation to_mutation(queue::Change change) {
  if (auto* put = std::get_if<queue::PutTask>(&change)) {
    return store::PutTask{std::move(put->record), std::move(put->body), std::move(put->result)};
  }
  if (auto* erase = std::get_if<queue::EraseBody>(&change)) return store::EraseBody{erase->id};
  if (auto* erase = std::get_if<queue::EraseTask>(&change)) return store::EraseTask{erase->id};
  return store::PutQueue{std::move(std::get<queue::PutQueue>(change).record)};
}

class ShardLoader final : public store::RecordSink {
 public:
  explicit ShardLoader(queue::Shard& shard) : shard_(shard) {}
  void on_queue(QueueRecord record) override { shard_.load(std::move(record)); }
  void on_task(TaskRecord record) override { shard_.load(std::move(record)); }

 private:
  queue::Shard& shard_;
};

}  // namespace

std::string_view host_state_name(HostState state) {
  switch (state) {
    case HostState::kLoading:
      return "loading";
    case HostState::kServing:
      return "serving";
    case HostState::kUnavailable:
      return "unavailable";
    case HostState::kStopped:
      return "stopped";
  }
  return "unknown";
}

queue::Shard* ShardHost::Turn::shard(ShardId id) {
  for (const auto& shard : host_.shards_) {
    if (shard->id() == id) return shard.get();
  }
  return nullptr;
}

queue::Shard& ShardHost::Turn::next_shard() {
  return *host_.shards_[host_.next_shard_++ % host_.shards_.size()];
}

ShardHost::ShardHost(Executor& executor, store::Store& store, HostListener& listener,
                     ShardHostOptions options, Random random, Logger log)
    : executor_(executor),
      store_(store),
      listener_(listener),
      options_(options),
      random_(random),
      log_(std::move(log)),
      session_(store.open_session(executor)),
      reload_delay_(options.reload_first),
      bodies_(options.body_cache_bytes) {}

ShardHost::~ShardHost() {
  *alive_ = false;
  executor_.cancel(timer_);
  for (auto& parked : parked_) executor_.cancel(parked.timer);
}

// ---- recovery ----

Result<void> ShardHost::start() {
  auto loaded = claim_and_load();
  if (!loaded) reload_later(loaded.error());
  return loaded;
}

Result<void> ShardHost::claim_and_load() {
  set_state(HostState::kLoading, {});
  totals_before_ = totals_committed_;  // what was counted since never happened
  shards_.clear();
  bodies_.clear();
  for (ShardId id = 0; id < store_.shard_count(); ++id) {
    SKEP_TRY(const Epoch epoch, store_.claim(id));
    auto shard = std::make_unique<queue::Shard>(id, epoch, random_.split(), options_.shard);
    ShardLoader loader(*shard);
    SKEP_TRY(store_.load(id, epoch, loader));
    shard->finish_load(executor_.now());
    log_.info("shard loaded", {{"shard", id}, {"epoch", epoch}, {"tasks", shard->size()}});
    shards_.push_back(std::move(shard));
  }
  openings_seen_.reset();
  forgiven_until_ = executor_.now();  // leases that were found begin anew
  set_state(HostState::kServing, {});
  schedule();
  return ok();
}

void ShardHost::reload_later(const Error& why) {
  set_state(HostState::kUnavailable, why.message);
  log_.error("the store does not serve; it is tried again",
             {{"problem", why.message}, {"code", code_name(why.code)}});
  const Error refusal = fail(Code::kUnavailable, "the store does not serve: " + why.message);
  fail_pending(refusal);
  executor_.cancel(timer_);
  timer_ = executor_.post_at(executor_.now() + reload_delay_, [this] {
    if (state_ != HostState::kUnavailable) return;
    if (auto loaded = claim_and_load(); !loaded) reload_later(loaded.error());
  });
  reload_delay_ = std::min(reload_delay_ * 2, options_.reload_max);
}

void ShardHost::set_state(HostState state, std::string problem) {
  if (state == state_ && problem == problem_) return;
  state_ = state;
  problem_ = std::move(problem);
  listener_.on_state(state_, problem_);
}

// What was applied and not handed to the store goes with what was not applied.
void ShardHost::fail_pending(const Error& error) {
  effects_.clear();
  has_ticked_ = false;
  for (auto* list : {&applied_, &pending_}) {
    auto requests = std::move(*list);
    list->clear();
    for (auto& request : requests) request->finish(error);
  }
}

void ShardHost::stop(UniqueFunction<void()> stopped) {
  stopped_ = std::move(stopped);
  auto parked = std::move(parked_);
  parked_.clear();
  for (auto& entry : parked) {
    executor_.cancel(entry.timer);
    entry.request.done(std::vector<GrantedLease>{});
  }
  stop_if_idle();
}

void ShardHost::stop_if_idle() {
  if (!stopped_ || is_committing_ || (state_ == HostState::kServing && has_uncommitted())) return;
  executor_.cancel(timer_);
  timer_ = 0;
  set_state(HostState::kStopped, "the manager is stopping");
  fail_pending(fail(Code::kUnavailable, "the manager is stopping"));
  auto stopped = std::move(stopped_);
  stopped_ = nullptr;
  stopped();
}

// ---- the loop ----

void ShardHost::push(std::unique_ptr<Request> request) {
  if (state_ != HostState::kServing && state_ != HostState::kLoading) {
    request->finish(fail(Code::kUnavailable, state_ == HostState::kStopped
                                                 ? "the manager is stopping"
                                                 : "the store does not serve: " + problem_));
    return;
  }
  if (pending() >= options_.pending_max) {
    request->finish(
        fail(Code::kUnavailable, std::to_string(pending()) + " requests wait for the store already"));
    return;
  }
  pending_.push_back(std::move(request));
  schedule();
}

void ShardHost::schedule() {
  if (is_scheduled_ || state_ != HostState::kServing) return;
  is_scheduled_ = true;
  executor_.post([this, alive = alive_] {
    if (!*alive) return;
    is_scheduled_ = false;
    run_batch();
  });
}

void ShardHost::run_batch() {
  if (state_ != HostState::kServing) return;
  if (is_out_of_time()) return lose_all(out_of_time());
  if (alive_at_ != kNoInstant) note_alive();
  const bool has_come = !pending_.empty();
  apply_pending();
  if (is_committing_) return;
  // What the executor took in meanwhile goes into the same commit: its cost is by the commit more than by the
  // request.
  if (has_come && ++gathered_rounds_ < kGatherRounds) return schedule();
  gathered_rounds_ = 0;
  commit_applied();
}

void ShardHost::apply_pending() {
  auto requests = std::move(pending_);
  pending_.clear();
  const Instant now = executor_.now();
  Turn turn(*this, now);
  // Before time takes its toll: a heartbeat that waited to be applied came in time.
  for (auto& request : requests) request->apply(turn);
  std::move(requests.begin(), requests.end(), std::back_inserter(applied_));
  // While the disk stands still time takes no toll: nobody could do anything about it.
  const bool stands_still = is_committing_ && now - commit_began_ > kSlowCommit;
  for (auto& shard : shards_) {
    if (stands_still || shard->wake_at() > now) continue;
    has_ticked_ = true;
    shard->tick(now, options_.timer_events_max, effects_[shard->id()]);
  }
  serve_parked(turn);
}

std::vector<store::ShardBatch> ShardHost::take_changes(bool& needs_sync) {
  std::vector<store::ShardBatch> batches;
  for (auto& [id, effects] : effects_) {
    std::move(effects.notices.begin(), effects.notices.end(), std::back_inserter(in_flight_.notices));
    std::move(effects.decisions.begin(), effects.decisions.end(), std::back_inserter(in_flight_.decisions));
    needs_sync |= effects.needs_sync;
    if (effects.changes.empty()) continue;
    store::ShardBatch batch{id, epoch_of(id), {}};
    batch.mutations.reserve(effects.changes.size());
    for (auto& change : effects.changes) batch.mutations.push_back(to_mutation(std::move(change)));
    batches.push_back(std::move(batch));
  }
  effects_.clear();
  return batches;
}

void ShardHost::count_changes(const std::vector<store::ShardBatch>& batches) {
  std::size_t changes = 0;
  for (const auto& batch : batches) {
    changes += batch.mutations.size();
    for (const auto& mutation : batch.mutations) {
      const auto* put = std::get_if<store::PutTask>(&mutation);
      if (put == nullptr) continue;
      if (put->body) commit_stats_.payload_bytes += put->body->size();
      if (put->result) commit_stats_.payload_bytes += put->result->size();
    }
  }
  commit_stats_.changes.observe(static_cast<double>(changes));
}

void ShardHost::commit_applied() {
  bool needs_sync = false;
  in_flight_ = {std::move(applied_), {}, {}, std::exchange(has_ticked_, false), bodies_.mark(), totals()};
  applied_.clear();
  auto batches = take_changes(needs_sync);
  is_committing_ = true;
  commit_began_ = executor_.now();
  if (batches.empty()) {
    on_committed(ok());
    return;
  }
  ++commit_stats_.commits;
  count_changes(batches);
  session_->commit(std::move(batches), needs_sync ? store::Sync::kDurable : store::Sync::kSoft,
                   [this, alive = alive_](Result<void> result) {
                     if (!*alive) return;
                     commit_stats_.last = executor_.now() - commit_began_;
                     commit_stats_.took.observe(std::chrono::duration<double>(commit_stats_.last).count());
                     if (commit_stats_.last > kSlowCommit) forgive_since(commit_began_);
                     // Not by a load: on a full disk that succeeds, and what comes next fails again.
                     if (result) reload_delay_ = options_.reload_first;
                     on_committed(std::move(result));
                   });
}

void ShardHost::on_committed(Result<void> result) {
  is_committing_ = false;
  auto done = std::move(in_flight_);
  in_flight_ = {};
  commit_stats_.requests += done.requests.size();
  if (!result) {
    ++commit_stats_.failed;
    for (auto& request : done.requests) request->finish(result);
    // What is in memory is ahead of what is stored: begin again from there.
    if (is_sharing_) {
      lose_all(with_context(result.error(), "commit"));
    } else {
      reload_later(with_context(result.error(), "commit"));
    }
    stop_if_idle();
    return;
  }
  totals_committed_ = done.totals;
  bodies_.settle(done.bodies_mark);
  for (auto& request : done.requests) request->finish(result);
  for (const auto& decision : done.decisions) listener_.on_decision(decision);
  tell(done.notices);
  if (!done.notices.empty() || done.has_ticked) listener_.on_batch();
  end_leaving();
  set_timer();
  if (has_uncommitted()) schedule();
  stop_if_idle();
}

void ShardHost::tell(const std::vector<queue::Notice>& notices) {
  Turn turn(*this, executor_.now());
  for (const auto& notice : notices) {
    queue::Shard* shard = turn.shard(notice.id.shard);
    const auto state = shard == nullptr ? std::nullopt : shard->state_of(notice.id);
    if (!state || is_terminal(*state)) bodies_.forget(notice.id);
    listener_.on_notice(notice, state);
  }
}

void ShardHost::note_alive() {
  const Instant now = executor_.now();
  if (alive_at_ != kNoInstant && now - alive_at_ > kStandstill) forgive_since(alive_at_);
  alive_at_ = now;
}

// A standstill and a commit that took long may be one and the same: no time is made good twice.
void ShardHost::forgive_since(Instant begin) {
  const Instant now = executor_.now();
  const Duration span = now - std::max(begin, forgiven_until_);
  if (span <= Duration::zero()) return;
  forgiven_until_ = now;
  for (auto& shard : shards_) shard->extend_all(span);
}

queue::Totals ShardHost::totals() const {
  queue::Totals sum = totals_before_;
  for (const auto& leaving : leaving_) sum += leaving.shard->totals();
  for (const auto& shard : shards_) sum += shard->totals();
  return sum;
}

void ShardHost::set_timer() {
  Instant wake = kNever;
  for (const auto& shard : shards_) wake = std::min(wake, shard->wake_at());
  executor_.cancel(timer_);
  timer_ = 0;
  if (wake == kNever || state_ != HostState::kServing) return;
  timer_ = executor_.post_at(wake, [this] {
    timer_ = 0;
    schedule();
  });
}

// ---- leases ----

void ShardHost::acquire(Acquire request) {
  // In the next batch, as every other request; what is left over is parked there.
  auto shared = std::make_shared<Acquire>(std::move(request));
  submit<bool>(
      [this, shared](Turn& turn) -> Result<bool> {
        if (shared->is_wanted && !shared->is_wanted()) return false;
        if (try_acquire(turn, *shared)) return true;
        if (shared->wait_until <= turn.now() || stopped_) return false;
        parked_.push_back({std::move(*shared), 0});
        const auto at = std::prev(parked_.end());
        at->timer = executor_.post_at(at->request.wait_until, [this, at] {
          auto done = std::move(at->request.done);
          parked_.erase(at);
          done(std::vector<GrantedLease>{});
        });
        return true;
      },
      [shared](Result<bool> answered) {
        if (!shared->done) return;
        if (!answered) {
          shared->done(answered.error());
        } else if (!answered.value()) {
          shared->done(std::vector<GrantedLease>{});
        }
      });
}

bool ShardHost::try_acquire(Turn& turn, Acquire& request) {
  std::vector<queue::LeasedTask> leased;
  queue::Lease command = request.command;
  const std::size_t first = next_lease_shard_++;
  for (std::size_t i = 0; i < shards_.size() && leased.size() < request.command.max; ++i) {
    auto& shard = *shards_[(first + i) % shards_.size()];
    command.max = request.command.max - static_cast<std::uint32_t>(leased.size());
    auto more = turn.apply(shard, command);
    leased.insert(leased.end(), more.begin(), more.end());
  }
  if (leased.empty()) return false;
  hand_out(request.command.worker, std::move(leased), std::move(request.done));
  request.done = nullptr;
  return true;
}

void ShardHost::serve_parked(Turn& turn) {
  if (parked_.empty()) return;
  std::uint64_t openings = 0;
  for (const auto& shard : shards_) openings += shard->openings();
  if (openings == openings_seen_ && turn.now() - looked_at_ < kLookAgain) return;
  looked_at_ = turn.now();
  serve_each_parked(turn);
  openings = 0;
  for (const auto& shard : shards_) openings += shard->openings();
  openings_seen_ = openings;
}

void ShardHost::serve_each_parked(Turn& turn) {
  for (auto at = parked_.begin(); at != parked_.end();) {
    const bool has_work = std::any_of(shards_.begin(), shards_.end(),
                                      [](const auto& shard) { return shard->queued_work().tasks > 0; });
    if (!has_work) return;
    if (at->request.is_wanted && !at->request.is_wanted()) {
      executor_.cancel(at->timer);
      auto done = std::move(at->request.done);
      at = parked_.erase(at);
      done(std::vector<GrantedLease>{});
      continue;
    }
    if (!try_acquire(turn, at->request)) {
      ++at;
      continue;
    }
    executor_.cancel(at->timer);
    at = parked_.erase(at);
  }
}

void ShardHost::cut_short(const std::string& worker) {
  end_waits([&worker](Acquire& request) { return request.command.worker == worker; });
}

void ShardHost::drop_unwanted() {
  end_waits([](Acquire& request) { return request.is_wanted && !request.is_wanted(); });
}

void ShardHost::end_waits(const std::function<bool(Acquire&)>& is_over) {
  for (auto at = parked_.begin(); at != parked_.end();) {
    if (!is_over(at->request)) {
      ++at;
      continue;
    }
    executor_.cancel(at->timer);
    auto done = std::move(at->request.done);
    at = parked_.erase(at);
    done(std::vector<GrantedLease>{});
  }
}

void ShardHost::hand_out(std::string worker, std::vector<queue::LeasedTask> leased,
                         UniqueFunction<void(Result<std::vector<GrantedLease>>)> done) {
  std::vector<store::BlobKey> keys;
  keys.reserve(leased.size());
  for (const auto& task : leased) keys.push_back({store::BlobKind::kBody, task.token.task});
  read_each(std::move(keys), [this, worker = std::move(worker), leased = std::move(leased),
                              done = std::move(done)](std::vector<Result<Blob>> bodies) mutable {
    std::vector<GrantedLease> granted;
    granted.reserve(leased.size());
    for (std::size_t i = 0; i < leased.size(); ++i) {
      if (bodies[i]) {
        granted.push_back({std::move(leased[i]), std::move(bodies[i].value())});
      } else {
        give_back_unreadable(worker, leased[i], bodies[i].error());
      }
    }
    done(std::move(granted));
  });
}

// A body that is gone for good makes the task dead, and says so; one that can not be read now is tried again.
void ShardHost::give_back_unreadable(const std::string& worker, const queue::LeasedTask& task,
                                     const Error& problem) {
  const bool is_gone = problem.code == Code::kCorrupt || problem.code == Code::kNotFound;
  submit<void>(
      [this, worker, token = task.token, is_gone, problem](Turn& turn) -> Result<void> {
        auto* shard = turn.shard(token.task.shard);
        const auto state = shard == nullptr ? std::nullopt : shard->state_of(token.task);
        if (!state || is_terminal(*state)) return ok();  // over meanwhile, and the body with it
        log_.error("the body of a leased task can not be read",
                   {{"task", token.task.to_string()},
                    {"problem", problem.message},
                    LogField::if_any("trace_id", shard->spec_of(token.task)->trace.trace_id())});
        // Refused: the lease is over already.
        if (is_gone) {
          (void)turn.apply(*shard,
                           queue::Fail{worker, token, "its body is lost: " + problem.message, true, false});
        } else {
          (void)turn.apply(*shard, queue::Release{worker, token, false, {}, kUnreadablePause});
        }
        return ok();
      },
      [](const Result<void>&) {});
}

// ---- blobs ----

void ShardHost::read(std::vector<store::BlobKey> keys, UniqueFunction<void(Result<std::vector<Blob>>)> done) {
  std::vector<Blob> found(keys.size());
  std::vector<store::BlobKey> missing;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].kind == store::BlobKind::kBody) found[i] = bodies_.find(keys[i].task);
    if (found[i]) continue;
    missing.push_back(keys[i]);
    places.push_back(i);
  }
  if (missing.empty()) {
    done(std::move(found));
    return;
  }
  session_->read(std::move(missing), [alive = alive_, found = std::move(found), places = std::move(places),
                                      done = std::move(done)](Result<std::vector<Blob>> read) mutable {
    if (!*alive) return;
    if (!read) {
      done(read.error());
      return;
    }
    for (std::size_t i = 0; i < places.size(); ++i) found[places[i]] = std::move(read.value()[i]);
    done(std::move(found));
  });
}

void ShardHost::read_each(std::vector<store::BlobKey> keys,
                          UniqueFunction<void(std::vector<Result<Blob>>)> done) {
  struct Gather {
    std::vector<store::BlobKey> keys;
    std::vector<Result<Blob>> blobs;
    std::size_t left = 0;
    UniqueFunction<void(std::vector<Result<Blob>>)> done;
    void take(std::size_t i, Result<std::vector<Blob>> read, std::size_t at) {
      if (!read) {
        blobs[i] = read.error();
      } else if (!read.value()[at]) {
        blobs[i] = fail(Code::kNotFound,
                        std::string(keys[i].kind == store::BlobKind::kBody ? "the body" : "the result") +
                            " of task " + keys[i].task.to_string() + " is not in the store");
      } else {
        blobs[i] = std::move(read.value()[at]);
      }
    }
  };
  auto gather = std::make_shared<Gather>();
  gather->keys = std::move(keys);
  gather->blobs.resize(gather->keys.size(), Result<Blob>(Blob()));
  gather->left = gather->keys.size();
  gather->done = std::move(done);
  auto all = gather->keys;
  read(std::move(all), [this, gather](Result<std::vector<Blob>> read_together) {
    const bool is_final = read_together || gather->keys.size() < 2;
    if (is_final) {
      for (std::size_t i = 0; i < gather->keys.size(); ++i) gather->take(i, read_together, i);
      gather->done(std::move(gather->blobs));
      return;
    }
    for (std::size_t i = 0; i < gather->keys.size(); ++i) {
      read({gather->keys[i]}, [gather, i](Result<std::vector<Blob>> one) {
        gather->take(i, std::move(one), 0);
        if (--gather->left == 0) gather->done(std::move(gather->blobs));
      });
    }
  });
}

void ShardHost::hold_bodies(const queue::Enqueue& command, const Result<queue::EnqueueReply>& reply) {
  if (!reply) return;
  for (std::size_t i = 0; i < command.items.size(); ++i) {
    const auto& enqueued = reply.value()[i];
    if (!enqueued.is_existing && command.items[i].body) bodies_.add(enqueued.id, command.items[i].body);
  }
}

}  // namespace skep::manager
