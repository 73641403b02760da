// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_worker.h"

#include <algorithm>

namespace skep::sim {
namespace {

namespace v1 = api::v1;
using namespace worker;

LoopOptions loop_options(const Config& config) {
  LoopOptions options;
  options.slots = config.slots;
  options.ahead = config.slots;
  options.commands = config.slots;
  options.prefetch = config.prefetch;
  options.acquire_wait = config.acquire_wait;
  options.drain_timeout = config.drain_timeout;
  options.orphan_timeout = minutes(2);
  return options;
}

// The threads look at what they are asked between two of their slices.
constexpr Duration kSliceMax = milliseconds(5);

}  // namespace

SimWorker::SimWorker(World& world, Network& network, std::uint64_t number, std::string instance,
                     std::function<void()> on_gone)
    : world_(world),
      network_(network),
      number_(number),
      instance_(std::move(instance)),
      on_gone_(std::move(on_gone)),
      process_(std::make_shared<Process>(world.executor)),
      random_(world.random.split()),
      loop_(loop_options(world.config), random_.split(), world.now()),
      knows_checkpoints_(number % 4 != 0),
      troubles_at_birth_(world.manager_troubles) {
  link_->place = worker_place(number);
  link_->node = number % world.config.managers;
}

void SimWorker::begin() {
  process_->post([self = shared_from_this()] { self->carry_out(self->loop_.tick(self->world_.now())); });
}

void SimWorker::drain(DrainCause cause) {
  // The second signal, or one after an order to drain, means at once, and hands back what runs.
  const bool was_draining = loop_.is_draining();
  if (cause == DrainCause::kSignal && (++signals_ > 1 || was_draining)) ++troubles;
  process_->post(
      [self = shared_from_this(), cause] { self->carry_out(self->loop_.drain(self->world_.now(), cause)); });
}

// It is gone between two instructions; nobody is told.
void SimWorker::die(std::string_view how) {
  if (is_gone()) return;
  world_.event(how, std::to_string(number_));
  if (world_.config.breakage == Breakage::kStuckLease) haunt();
  process_->kill();
  world_.tell([&](Checker& checker) { checker.on_worker_left(number_); });
  if (on_gone_) on_gone_();
}

// The breakage kStuckLease: a dead worker's heartbeats go on.
void SimWorker::haunt() {
  v1::HeartbeatRequest request;
  for (const auto& [lease, run] : running_) request.add_leases()->set_lease(lease);
  auto ghost = std::make_shared<Process>(world_.executor);
  auto beat = std::make_shared<std::function<void()>>();
  *beat = [this, self = shared_from_this(), ghost, request, id = id(), beat] {
    network_.call<v1::HeartbeatReply>(
        ghost, link_, seconds(5),
        [id, request](Front& front, manager::IsWanted, manager::Reply<v1::HeartbeatReply> reply) {
          front.haunt(id, request, std::move(reply));
        },
        [](const Result<v1::HeartbeatReply>&) {});
    ghost->post_at(world_.now() + seconds(1), [beat] { (*beat)(); });
  };
  (*beat)();
}

void SimWorker::carry_out(std::vector<Action> actions) {
  if (loop_.is_draining() && drain_began_ == kNoInstant) drain_began_ = world_.now();
  for (auto& action : actions) {
    if (is_gone()) return;
    std::visit([this](auto& item) { carry_out_one(std::move(item)); }, action);
  }
  process_->cancel(timer_);
  timer_ = process_->post_at(loop_.wake_at(), [self = shared_from_this()] {
    self->carry_out(self->loop_.tick(self->world_.now()));
  });
}

void SimWorker::carry_out_one(DoRegister) {
  v1::RegisterRequest request;
  request.set_name("worker" + std::to_string(number_));
  request.set_slots(world_.config.slots);
  request.add_kinds("sha512");
  request.add_kinds("command");
  request.add_programs("program");
  request.set_instance(instance_);
  network_.call<v1::RegisterReply>(
      process_, link_, seconds(10),
      [number = number_, request](Front& front, manager::IsWanted, manager::Reply<v1::RegisterReply> reply) {
        front.register_worker(number, request, std::move(reply));
      },
      [self = shared_from_this()](Result<v1::RegisterReply> reply) {
        self->carry_out(self->loop_.on_registered(self->world_.now(), std::move(reply)));
      });
}

void SimWorker::carry_out_one(DoAcquire acquire) {
  v1::AcquireRequest request;
  request.set_worker(loop_.worker_id());
  request.set_max(acquire.max);
  request.set_wait_ms(static_cast<std::uint64_t>(acquire.wait / milliseconds(1)));
  if (acquire.pool == Pool::kLanes) {
    request.add_kinds("sha512");
  } else {
    request.add_kinds("command");
    request.add_programs("program");
  }
  const std::uint64_t mine = abandoned_;
  network_.call<v1::AcquireReply>(
      process_, link_, acquire.wait + seconds(10),
      [self = shared_from_this(), mine, request](Front& front, manager::IsWanted is_wanted,
                                                 manager::Reply<v1::AcquireReply> reply) {
        auto is_still_wanted = [self, mine, is_wanted = std::move(is_wanted)]() mutable {
          return self->abandoned_ == mine && is_wanted();
        };
        front.acquire(self->number_, request, std::move(is_still_wanted), std::move(reply));
      },
      [self = shared_from_this(), mine, pool = acquire.pool](Result<v1::AcquireReply> reply) {
        if (self->abandoned_ != mine) return;  // abandoned
        if (reply && !self->knows_checkpoints_) {
          for (auto& lease : *reply.value().mutable_leases()) lease.clear_keep_checkpoints();
        }
        self->carry_out(self->loop_.on_acquired(self->world_.now(), std::move(reply), pool));
      });
}

Duration SimWorker::run_time(const v1::Lease& lease) {
  const auto text = TaskText::parse(lease.body());
  const std::uint64_t ms = text ? text->run_ms : 1;
  return milliseconds(static_cast<std::int64_t>(ms / 2 + random_.below(ms + 1)));
}

SimWorker::Run SimWorker::make_run(const v1::Lease& lease) {
  Run run;
  run.lease = lease;
  run.digest = digest_of(lease.body(), 0);
  run.began = world_.now();
  run.takes = run_time(lease);
  if (!knows_checkpoints_ || lease.checkpoint().empty()) return run;
  run.begin = lease.iterations_done();
  run.digest = lease.checkpoint();
  const double left = static_cast<double>(lease.iterations() - run.begin);
  run.takes = Duration(static_cast<Duration::rep>(static_cast<double>(run.takes.count()) * left /
                                                  static_cast<double>(lease.iterations())));
  return run;
}

std::uint64_t SimWorker::iterations_done(const Run& run) const {
  const auto left = static_cast<double>(run.lease.iterations() - run.begin);
  const auto passed = static_cast<double>((world_.now() - run.began).count());
  const auto takes = static_cast<double>(std::max(run.takes, Duration(1)).count());
  const auto done = run.begin + static_cast<std::uint64_t>(left * std::min(1.0, passed / takes));
  return std::min(done, run.lease.iterations() - 1);  // the last one is the result
}

template <class Item>
void SimWorker::set_progress(const Run& run, Item& item) const {
  if (!knows_checkpoints_ || run.lease.kind() != "sha512") return;
  const std::uint64_t done = iterations_done(run);
  item.set_iterations_done(done);
  if (!run.lease.keep_checkpoints() || done == 0) return;
  item.set_checkpoint(go_on_from(run.digest, done - run.begin));
}

v1::Outcome SimWorker::outcome_of(const Run& run) {
  const v1::Lease& lease = run.lease;
  v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  const auto text = TaskText::parse(lease.body());
  const Behaviour behaviour = text ? text->behaviour : Behaviour::kNormal;
  if (behaviour == Behaviour::kPermanent || (behaviour == Behaviour::kFailing && random_.chance(0.5))) {
    outcome.set_failed(true);
    outcome.set_permanent(behaviour == Behaviour::kPermanent);
    outcome.set_error("it fails, by script");
    return outcome;
  }
  outcome.set_result(to_result(go_on_from(run.digest, lease.iterations() - run.begin)));
  if (world_.config.breakage == Breakage::kWrongResult && random_.chance(0.02)) {
    outcome.set_result(result_of("something else", lease.iterations()));
  }
  return outcome;
}

void SimWorker::carry_out_one(DoStart start) {
  if (start.lease.kind() == "sha512") {
    ahead_.push_back(std::move(start.lease));
    fill_lanes();
  } else {
    run(start.lease);
  }
}

bool SimWorker::has_lane() const {
  const auto used = std::count_if(running_.begin(), running_.end(),
                                  [](const auto& item) { return item.second.lease.kind() == "sha512"; });
  return static_cast<std::uint32_t>(used) < world_.config.slots;
}

void SimWorker::fill_lanes() {
  while (!ahead_.empty() && has_lane()) {
    // What has no lane when the drain begins goes back, as soon as the threads have looked.
    if (loop_.is_draining() && troubles == 0 && world_.now() > drain_began_ + kSliceMax)
      world_.verdict.broken("drain", "a task begins in a worker that drains");
    const v1::Lease lease = std::move(ahead_.front());
    ahead_.pop_front();
    run(lease);
  }
}

bool SimWorker::take_ahead(const std::string& lease) {
  return std::erase_if(ahead_, [&](const v1::Lease& item) { return item.lease() == lease; }) > 0;
}

void SimWorker::run(const v1::Lease& lease) {
  const auto text = TaskText::parse(lease.body());
  if (!text) world_.verdict.broken("results", "a worker got a body that no client ever sent");
  Run begun = make_run(lease);
  const Duration timeout = milliseconds(static_cast<std::int64_t>(lease.timeout_ms()));
  const bool is_late = timeout > Duration::zero() && begun.takes > timeout;
  const bool is_poison = text && text->behaviour == Behaviour::kPoison;
  const Duration spent = is_late ? timeout : begun.takes;
  begun.timer = process_->post_at(
      world_.now() + spent, [self = shared_from_this(), name = lease.lease(), is_late, is_poison, spent] {
        if (is_poison) {
          self->die("worker killed by its task");
          return;
        }
        const Run done = std::move(self->running_.extract(name).mapped());
        self->fill_lanes();
        v1::Outcome outcome = self->outcome_of(done);
        if (is_late) {
          outcome.Clear();
          outcome.set_lease(name);
          outcome.set_failed(true);
          outcome.set_timed_out(true);
          outcome.set_error("ran longer than its timeout");
          self->world_.counters.add("runs timed out");
        }
        outcome.set_run_us(static_cast<std::uint64_t>(spent / microseconds(1)));
        self->carry_out(self->loop_.on_finished(self->world_.now(), std::move(outcome)));
      });
  running_[lease.lease()] = std::move(begun);
}

void SimWorker::carry_out_one(const DoStop& stop) {
  if (take_ahead(stop.lease)) return;
  const auto found = running_.find(stop.lease);
  if (found == running_.end()) return;
  process_->cancel(found->second.timer);
  running_.erase(found);
  fill_lanes();
}

void SimWorker::carry_out_one(const DoHandBack& hand_back) {
  const auto after = Duration(static_cast<Duration::rep>(random_.below(kSliceMax.count())));
  const bool is_only_if_waiting = hand_back.is_only_if_waiting;
  process_->post_at(world_.now() + after,
                    [self = shared_from_this(), is_only_if_waiting, name = hand_back.lease] {
                      if (self->take_ahead(name)) {
                        self->world_.counters.add("leases handed back before they had a lane");
                        v1::ReleasedLease released;
                        released.set_lease(name);
                        self->carry_out(self->loop_.on_handed_back(self->world_.now(), std::move(released)));
                        return;
                      }
                      if (is_only_if_waiting) return;  // it has begun
                      auto found = self->running_.extract(name);
                      if (found.empty()) return;  // it has finished or was stopped
                      self->process_->cancel(found.mapped().timer);
                      v1::ReleasedLease released;
                      released.set_lease(name);
                      self->set_progress(found.mapped(), released);
                      // Before its first iteration there is nothing to lose.
                      const bool has_advanced = released.iterations_done() > found.mapped().begin;
                      released.set_started(has_advanced || !found.mapped().lease.keep_checkpoints());
                      self->fill_lanes();
                      self->carry_out(self->loop_.on_handed_back(self->world_.now(), std::move(released)));
                    });
}

void SimWorker::carry_out_one(DoComplete complete) {
  v1::CompleteRequest request;
  request.set_worker(loop_.worker_id());
  for (auto& outcome : complete.outcomes) *request.add_outcomes() = std::move(outcome);
  network_.call<v1::CompleteReply>(
      process_, link_, seconds(30),
      [number = number_, request](Front& front, manager::IsWanted, manager::Reply<v1::CompleteReply> reply) {
        front.complete(number, request, std::move(reply));
      },
      [self = shared_from_this()](Result<v1::CompleteReply> reply) {
        self->carry_out(self->loop_.on_completed(self->world_.now(), std::move(reply)));
      });
}

void SimWorker::carry_out_one(DoRelease release) {
  if (!loop_.is_draining()) world_.counters.add("leases handed back as too many", release.leases.size());
  v1::ReleaseRequest request;
  request.set_worker(loop_.worker_id());
  for (auto& lease : release.leases) *request.add_leases() = std::move(lease);
  network_.call<v1::ReleaseReply>(
      process_, link_, seconds(10),
      [number = number_, request](Front& front, manager::IsWanted, manager::Reply<v1::ReleaseReply> reply) {
        front.release(number, request, std::move(reply));
      },
      [self = shared_from_this()](Result<v1::ReleaseReply> reply) {
        self->carry_out(self->loop_.on_released(self->world_.now(), std::move(reply)));
      });
}

void SimWorker::carry_out_one(DoHeartbeat heartbeat) {
  for (auto& item : *heartbeat.request.mutable_leases()) {
    const auto run = running_.find(item.lease());
    if (run != running_.end()) set_progress(run->second, item);
  }
  // What the loop has started may still wait for a lane.
  for (auto& item : *heartbeat.request.mutable_leases()) {
    const bool waits = std::any_of(ahead_.begin(), ahead_.end(),
                                   [&](const v1::Lease& lease) { return lease.lease() == item.lease(); });
    if (waits) item.set_started(false);
  }
  const Duration wait = milliseconds(static_cast<std::int64_t>(heartbeat.request.wait_ms()));
  network_.call<v1::HeartbeatReply>(
      process_, link_, std::max<Duration>(seconds(5), wait + seconds(3)),
      [number = number_, id = loop_.worker_id(), request = std::move(heartbeat.request)](
          Front& front, manager::IsWanted, manager::Reply<v1::HeartbeatReply> reply) {
        front.heartbeat(number, id, request, std::move(reply));
      },
      [self = shared_from_this()](Result<v1::HeartbeatReply> reply) {
        if (reply && reply.value().lost_size() > 0) {
          self->world_.counters.add("leases told lost",
                                    static_cast<std::uint64_t>(reply.value().lost_size()));
        }
        if (reply && reply.value().cancelled_size() > 0) self->world_.counters.add("running tasks cancelled");
        self->carry_out(self->loop_.on_heartbeat(self->world_.now(), std::move(reply)));
      });
}

void SimWorker::carry_out_one(DoCancelAcquire) {
  ++abandoned_;
}

void SimWorker::carry_out_one(DoNextManager) {
  if (!world_.is_shared()) return;
  world_.counters.add("workers gone on to another manager");
  link_->node = (link_->node + 1) % world_.config.managers;
}

void SimWorker::carry_out_one(const DoMoveTo& move) {
  world_.event("worker moves to another manager", std::to_string(number_) + " to " + move.manager);
  link_->node = Cluster::node_of(move.manager);
}

void SimWorker::carry_out_one(const DoTakeLeave& leave) {
  network_.call<v1::Worker>(
      process_, link_, seconds(5),
      [id = leave.worker](Front& front, manager::IsWanted, manager::Reply<v1::Worker> reply) {
        front.take_leave(id, std::move(reply));
      },
      [](const Result<v1::Worker>&) {});
}

void SimWorker::carry_out_one(const DoExit& exit) {
  const bool has_drained = exit.reason == "drained";
  has_drained_in_time_ = has_drained && world_.now() < drain_began_ + world_.config.drain_timeout;
  world_.event(has_drained ? "worker drained" : "worker exits", exit.reason);
  if (loop_.worker_id().empty()) return gone(false);
  network_.call<v1::Worker>(
      process_, link_, seconds(2),
      [number = number_, id = loop_.worker_id(), reason = exit.reason](Front& front, manager::IsWanted,
                                                                       manager::Reply<v1::Worker> reply) {
        front.delete_worker(number, id, reason, std::move(reply));
      },
      [self = shared_from_this()](const Result<v1::Worker>& reply) { self->gone(reply.has_value()); });
}

void SimWorker::gone(bool is_goodbye_heard) {
  process_->kill();
  world_.tell([&](Checker& checker) { checker.on_worker_left(number_); });
  const bool is_untroubled =
      troubles == 0 && link_->troubles == 0 && world_.manager_troubles == troubles_at_birth_;
  if (has_drained_in_time_ && is_goodbye_heard && is_untroubled) {
    world_.counters.add("worker drained without trouble");
    world_.tell([&](Checker& checker) { checker.on_worker_drained(number_); });
  }
  if (on_gone_) on_gone_();
}

}  // namespace skep::sim
