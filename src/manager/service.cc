// SPDX-License-Identifier: Apache-2.0
// Life, listening to the shard host, silence of workers, and what the scaler sees.
#include "manager/service.h"

#include <algorithm>

#include "base/check.h"

namespace skep::manager {
namespace {

constexpr Duration kLostKept = minutes(5);      // how long a lost worker is still shown
constexpr Duration kMovePatience = seconds(3);  // one that has not gone by then stays

// In seconds. The default target wait is among them, and what people set instead.
std::vector<double> wait_bounds() {
  return {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1'800, 3'600};
}

std::vector<double> run_bounds() {
  return {0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1'800, 3'600, 14'400, 86'400};
}

}  // namespace

Service::Service(Executor& executor, store::Store& store, ServiceOptions options, Random random, Logger log)
    : executor_(executor),
      options_(std::move(options)),
      log_(log),
      wait_tally_(wait_bounds()),
      run_tally_(run_bounds()),
      random_(random),
      started_at_(executor.now()),
      admission_([&store] { return store.room(); }, options_.disk_reserve),
      store_(store),
      host_(executor, store, *this, options_.host, random, log) {}

Service::~Service() {
  executor_.cancel(sweep_timer_);
  for (auto& [id, waiters] : task_waiters_) {
    for (auto& waiter : waiters) executor_.cancel(waiter.timer);
  }
  for (auto& waiter : pull_waiters_) executor_.cancel(waiter.timer);
  for (auto& [id, beat] : parked_beats_) executor_.cancel(beat.timer);
}

Result<void> Service::start() {
  rate_at_ = executor_.now();
  sweep();
  SKEP_TRY(membership_, store_.join(options_.address, executor_));
  if (membership_ == nullptr) {
    SKEP_TRY(host_.start());
    own_number_ = store_number(host_.shards().front()->epoch());
    return ok();
  }
  ShardKeeperOptions options;
  options.ownership = options_.ownership;
  options.shard = options_.host.shard;
  keeper_ = std::make_unique<ShardKeeper>(
      executor_, *membership_, host_, store_.shard_count(), options,
      [this] {
        answer_moved_waiters();
        if (shards_changed_) shards_changed_();
      },
      random_.split(), log_);
  host_.start_sharing([this] { keeper_->on_lost(); });
  keeper_->start();
  return ok();
}

void Service::leave(UniqueFunction<void()> left) {
  if (keeper_) {
    keeper_->leave(std::move(left));
  } else {
    left();
  }
}

std::string Service::life_name() const {
  if (membership_) return "m" + std::to_string(membership_->self());
  return std::to_string(host_.shards().empty() ? 0 : host_.shards().front()->epoch());
}

void Service::attach(scaler::Scaler* scaler, std::string provisioner) {
  scaler_ = scaler;
  provisioner_ = std::move(provisioner);
}

void Service::begin_drain() {
  is_draining_ = true;
  for (const auto& [id, worker] : registry_.all()) cut_short(id);
  auto waiting = std::move(task_waiters_);
  task_waiters_.clear();
  for (auto& [id, waiters] : waiting) {
    for (auto& waiter : waiters) {
      executor_.cancel(waiter.timer);
      answer_task(id, std::move(waiter.reply));
    }
  }
  auto pulls = std::move(pull_waiters_);
  pull_waiters_.clear();
  for (auto& waiter : pulls) {
    executor_.cancel(waiter.timer);
    waiter.reply(api::v1::PullReply{});
  }
}

void Service::stop(UniqueFunction<void()> stopped) {
  begin_drain();
  host_.stop(std::move(stopped));
}

// ---- what the host says ----

void Service::on_notice(const queue::Notice& notice, std::optional<TaskState> state) {
  events_.add_of_task(executor_.now(), notice.id, queue::notice_name(notice.kind), notice.detail);
  if (notice.kind == queue::NoticeKind::kMismatch) {
    log_.warn("a worker gave another result than the one that stands: it is suspect",
              {{"task", notice.id.to_string()},
               {"worker", notice.detail},
               LogField::if_any("trace_id", trace_id_of(notice.id))});
    auto* worker = registry_.find(notice.detail);
    if (worker != nullptr) ++worker->mismatches;
    decisions_.add_of_worker(executor_.now(), notice.detail, "suspect", "mismatch",
                             {{"task", notice.id.to_string()},
                              {"mismatches", std::to_string(worker != nullptr ? worker->mismatches : 1)}},
                             "It gave another result for task " + notice.id.to_string() +
                                 " than the one that stands: it is suspect.");
  }
  if (notice.kind == queue::NoticeKind::kDead) {
    log_.warn("task is dead", {{"task", notice.id.to_string()},
                               {"reason", notice.detail},
                               LogField::if_any("trace_id", trace_id_of(notice.id))});
  }
  const bool is_finished = !state || is_terminal(*state);
  if (!is_finished) return;
  const auto found = task_waiters_.find(notice.id);
  if (found == task_waiters_.end()) return;
  auto waiters = std::move(found->second);
  task_waiters_.erase(found);
  for (auto& waiter : waiters) {
    executor_.cancel(waiter.timer);
    answer_task(notice.id, std::move(waiter.reply));
  }
}

void Service::on_decision(const queue::TaskDecision& decision) {
  decisions_.add(executor_.now(), decision);
}

void Service::on_state(HostState state, const std::string& problem) {
  events_.add(executor_.now(), "store", store_.stats().place, host_state_name(state), problem);
}

void Service::on_batch() {
  if (!pull_waiters_.empty()) serve_pull_waiters();
  if (scaler_ != nullptr) scaler_->poke();
}

// ---- silence ----

void Service::sweep() {
  const Instant now = executor_.now();
  // Time in which this manager itself stood still (it loaded, or was stopped) is not the workers' silence.
  const Duration stall = now - swept_at_ - options_.sweep;
  if (swept_at_ != kNoInstant && stall > options_.sweep) registry_.forgive(stall);
  // Nor is time in which it could not answer them, because a commit takes long.
  const Instant committing_since = host_.committing_since();
  if (swept_at_ != kNoInstant && committing_since != kNoInstant && committing_since <= swept_at_)
    registry_.forgive(now - swept_at_);
  host_.note_alive();
  swept_at_ = now;
  for (const auto& id : registry_.sweep(now, options_.worker_timeout)) lose_silent(*registry_.find(id), now);
  registry_.end_moves(now, kMovePatience);
  registry_.drop_silent(now, kLostKept);
  drop_old_seed_leases(now);
  drop_unwanted_waits();
  queue_waits_.drop_old(now);
  for (auto& [id, worker] : registry_.all()) update_idle(worker, leases_of(id), now);
  speed_.pass(std::chrono::duration<double>(now - rate_at_).count());
  rate_at_ = now;
  sweep_timer_ = executor_.post_at(now + options_.sweep, [this] { sweep(); });
}

void Service::lose_silent(const WorkerInfo& worker, Instant now) {
  const std::string silence = describe_duration(now - worker.heard_at);
  decisions_.add_of_worker(now, worker.id, "lose", "silence",
                           {{"silence", silence},
                            {"worker_timeout", describe_duration(options_.worker_timeout)},
                            {"leases", std::to_string(leases_of(worker.id))}},
                           "It was silent for " + silence + ", longer than " +
                               describe_duration(options_.worker_timeout) + ": what it held goes back.");
  lose_worker({worker.id, worker.slots, "worker " + worker.id + " was silent for " + silence, worker.commands,
               worker.ended});
}

// Clients may come, ask for a wait of minutes and go, again and again.
void Service::drop_unwanted_waits() {
  host_.drop_unwanted();
  std::vector<std::pair<TaskId, Reply<api::v1::Task>>> gone;
  for (auto& [id, waiters] : task_waiters_) {
    for (auto at = waiters.begin(); at != waiters.end();) {
      if (!at->is_wanted || at->is_wanted()) {
        ++at;
        continue;
      }
      executor_.cancel(at->timer);
      gone.emplace_back(id, std::move(at->reply));
      at = waiters.erase(at);
    }
  }
  std::erase_if(task_waiters_, [](const auto& entry) { return entry.second.empty(); });
  for (auto& [id, reply] : gone) answer_task(id, std::move(reply));
  for (auto at = pull_waiters_.begin(); at != pull_waiters_.end();) {
    if (!at->is_wanted || at->is_wanted()) {
      ++at;
      continue;
    }
    executor_.cancel(at->timer);
    at->reply(api::v1::PullReply{});
    at = pull_waiters_.erase(at);
  }
}

void Service::update_idle(WorkerInfo& worker, std::uint32_t leases, Instant now) {
  if (leases > 0) {
    worker.idle_since = kNoInstant;
  } else if (worker.idle_since == kNoInstant) {
    worker.idle_since = now;
  }
}

void Service::lose_worker(queue::LoseWorker command, Reply<void> done) {
  cut_short(command.worker);
  log_.warn("worker is lost; its leases go back", {{"worker", command.worker}, {"why", command.message}});
  events_.add(executor_.now(), "worker", command.worker, "lost", command.message);
  if (worker_lost_) worker_lost_(command);
  host_.submit<std::uint32_t>(
      [command](Turn& turn) -> Result<std::uint32_t> {
        std::uint32_t returned = 0;
        for (const auto& shard : turn.shards()) returned += turn.apply(*shard, command).returned;
        return returned;
      },
      [this, id = command.worker, done = std::move(done)](Result<std::uint32_t> returned) mutable {
        if (!returned) {
          // Its leases run out by themselves after the reload.
          log_.error("leases of a lost worker could not be given back now",
                     {{"worker", id}, {"problem", returned.error().message}});
        }
        if (!done) return;
        if (returned) {
          done(ok());
        } else {
          done(returned.error());
        }
      });
}

std::uint32_t Service::leases_of(const std::string& worker) const {
  std::size_t count = 0;
  for (const auto& shard : host_.shards()) count += shard->lease_count(worker);
  if (const auto known = registry_.all().find(worker); known != registry_.all().end())
    count += known->second.elsewhere;
  return static_cast<std::uint32_t>(count);
}

// ---- scaler::Fleet ----

// Whether it is of use: it holds something, or could take something of what waits, or nothing waits. Those
// that the provisioner started always are: more of them would be like them.
bool Service::is_fit(const WorkerInfo& worker, std::uint32_t leases) const {
  if (!worker.instance.empty() || leases > 0) return true;
  const auto& shards = host_.shards();
  const auto waits = [](const auto& shard) { return shard->queued_work().tasks > 0; };
  const auto suits = [&](const auto& shard) { return shard->has_queued_for(worker.kinds, worker.programs); };
  const auto suits_elsewhere = [&](const auto& kind) {
    return queue::Shard::is_for(kind, worker.kinds, worker.programs);
  };
  const bool is_idle = waiting_elsewhere_.empty() && std::none_of(shards.begin(), shards.end(), waits);
  return is_idle || std::any_of(shards.begin(), shards.end(), suits) ||
         std::any_of(waiting_elsewhere_.begin(), waiting_elsewhere_.end(), suits_elsewhere);
}

Service::WaitingKinds Service::waiting_here() const {
  WaitingKinds kinds;
  for (const auto& shard : host_.shards()) kinds.merge(shard->queued_classes());
  return kinds;
}

double Service::backlog_seconds(const queue::Shard& shard) const {
  double all = 0;
  shard.visit_classes([&](const auto& queue, const auto& kind, const auto& program, const auto& work) {
    all +=
        speed_.seconds(queue, kind, program, work.queued) + speed_.seconds(queue, kind, program, work.leased);
  });
  return all;
}

// One for each queue with an objective, and one for all the others.
std::vector<scaler::QueueLoad> Service::loads(Instant now) const {
  std::vector<scaler::QueueLoad> loads;
  std::unordered_map<std::string, std::size_t> places;
  for (const auto& objective : options_.objectives) {
    places.emplace(objective.queue, loads.size());
    loads.emplace_back().queue = objective.queue;
  }
  loads.emplace_back();
  const auto load_of = [&](const std::string& queue) -> scaler::QueueLoad& {
    const auto found = places.empty() ? places.end() : places.find(queue);
    return found == places.end() ? loads.back() : loads[found->second];
  };
  std::set<std::string> waiting;  // queues of the rest
  for (const auto& shard : host_.shards()) {
    shard->visit_classes([&](const auto& queue, const auto& kind, const auto& program, const auto& work) {
      auto& load = load_of(queue);
      load.queued += work.queued.tasks;
      load.leased += work.leased.tasks;
      load.queued_seconds += speed_.seconds(queue, kind, program, work.queued);
      load.leased_seconds += speed_.seconds(queue, kind, program, work.leased);
    });
    shard->visit_queues([&](const auto& queue, Instant oldest, std::uint64_t leases) {
      auto& load = load_of(queue);
      load.started += leases;
      if (oldest == kNoInstant) return;
      load.oldest_wait = std::max(load.oldest_wait, now - oldest);
      if (load.queue.empty() && loads.size() > 1) waiting.insert(queue);
    });
  }
  loads.back().queues = std::max(1u, static_cast<std::uint32_t>(waiting.size()));
  speed_.visit_rates([&](const auto& queue, double rate) { load_of(queue).arrival_seconds += rate; });
  return loads;
}

scaler::Observation Service::observe() {
  scaler::Observation seen;
  seen.now = executor_.now();
  seen.loads = loads(seen.now);
  std::uint64_t others = 0;
  for (const auto& shard : host_.shards()) {
    others += shard->queued_work().others + shard->leased_work().others;
  }
  for (const auto& load : seen.loads) {
    seen.queued += load.queued;
    seen.leased += load.leased;
    seen.queued_seconds += load.queued_seconds;
    seen.leased_seconds += load.leased_seconds;
    seen.arrival_seconds += load.arrival_seconds;
    seen.oldest_wait = std::max(seen.oldest_wait, load.oldest_wait);
  }
  seen.started = host_.totals().leased;
  if (seen.loads.size() == 1) seen.loads.clear();  // it is all one
  std::uint32_t slots = 0;
  for (const auto& [id, worker] : registry_.all()) {
    if (worker.is_lost) continue;
    if (worker.is_draining) {
      ++seen.draining;
      continue;
    }
    if (!is_fit(worker, leases_of(id))) continue;
    ++seen.running;
    // A worker has many lanes and few places for commands: with both kinds of work the scarcer decides.
    slots += others > 0 ? std::min(worker.slots, worker.commands) : worker.slots;
    if (worker.idle_since != kNoInstant) ++seen.idle;
  }
  if (seen.running > 0) seen.slots_per_worker = std::max(1u, slots / seen.running);
  return seen;
}

std::vector<scaler::WorkerSeen> Service::workers() {
  std::vector<scaler::WorkerSeen> seen;
  for (auto& [id, worker] : registry_.all()) {
    const std::uint32_t leases = leases_of(id);
    update_idle(worker, leases, executor_.now());
    seen.push_back({id, worker.instance, worker.is_draining, worker.is_lost, leases, worker.heard_at,
                    worker.idle_since, is_fit(worker, leases), worker.slots});
  }
  return seen;
}

void Service::drain_worker(const std::string& id) {
  WorkerInfo* worker = registry_.find(id);
  if (worker == nullptr || worker->is_draining) return;
  worker->is_draining = true;
  events_.add(executor_.now(), "worker", id, "draining", {});
  log_.info("worker is asked to drain", {{"worker", id}});
  cut_short(id);
}

void Service::forget_worker(const std::string& id, const std::string& reason) {
  WorkerInfo* worker = registry_.find(id);
  // A lost one has given everything back, and is shown for a while.
  if (worker == nullptr || worker->is_lost) return;
  queue::LoseWorker command{id, worker->slots, reason, worker->commands, worker->ended};
  registry_.remove(id);
  lose_worker(std::move(command));
}

}  // namespace skep::manager
