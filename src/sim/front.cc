// SPDX-License-Identifier: Apache-2.0
#include "sim/front.h"

namespace skep::sim {
namespace {

namespace v1 = api::v1;

// Whether a refusal says that nothing was stored.
bool is_definite(Code code) {
  return code != Code::kUnknownOutcome;
}

}  // namespace

// ---- clients ----

void Front::enqueue(const std::vector<Intent*>& intents, Reply<v1::EnqueueBatchReply> reply) {
  for (Intent* intent : intents) ++intent->arrivals;
  api_.enqueue(intents,
               [this, intents, reply = std::move(reply)](Result<v1::EnqueueBatchReply> answer) mutable {
                 if (is_silent()) return;
                 world_.step();
                 if (!answer && is_definite(answer.error().code)) {
                   for (Intent* intent : intents) ++intent->refusals;
                 }
                 if (answer) {
                   for (std::size_t i = 0; i < intents.size(); ++i) {
                     const auto& task = answer.value().tasks(static_cast<int>(i));
                     const TaskId id = TaskId::parse(task.id()).value();
                     if (task.existing()) world_.counters.add("enqueue met its key again");
                     world_.tell([&](Checker& checker) { checker.on_enqueued(*intents[i], id); });
                     Promises& promises = world_.auditor.of(id);
                     promises.intent = intents[i];
                     promises.is_acknowledged = true;
                     intents[i]->acknowledged = id;
                   }
                   world_.counters.add("tasks acknowledged", intents.size());
                 }
                 reply(std::move(answer));
               });
}

void Front::note_task(const Result<v1::Task>& task, Instant asked_at) {
  if (!task) return;
  world_.tell([&](Checker& checker) { checker.on_seen(task.value(), asked_at); });
}

// Whoever is gone is owed no more waiting.
Front::Watched Front::watch(IsWanted is_wanted) {
  auto is_gone = std::make_shared<bool>(false);
  return {is_gone, [is_wanted = std::move(is_wanted), is_gone]() mutable {
            *is_gone = is_wanted && !is_wanted();
            return !*is_gone;
          }};
}

void Front::get(const TaskId& id, Duration wait, IsWanted is_wanted, Reply<v1::Task> reply) {
  Watched watched = watch(std::move(is_wanted));
  api_.get(id, wait, std::move(watched.is_wanted),
           [this, wait, arrived = world_.now(), is_gone = watched.is_gone,
            reply = std::move(reply)](Result<v1::Task> task) mutable {
             if (is_silent()) return;
             note_task(task, arrived);
             if (task && !is_draining_ && !*is_gone) {
               const Waited waited{arrived, wait, &task.value(), nullptr, {}};
               world_.tell([&](Checker& checker) { checker.on_waited(waited); });
             }
             reply(std::move(task));
           });
}

void Front::result(const TaskId& id, Reply<store::Blob> reply) {
  api_.result(id, [this, id, reply = std::move(reply)](Result<store::Blob> blob) mutable {
    if (is_silent()) return;
    if (blob) world_.tell([&](Checker& checker) { checker.on_result(id, *blob.value()); });
    reply(std::move(blob));
  });
}

void Front::cancel(const TaskId& id, Reply<v1::Task> reply) {
  if (world_.config.breakage == Breakage::kLostCancel) {
    v1::Task lie;
    lie.set_id(id.to_string());
    lie.set_state("cancelled");
    world_.auditor.of(id).is_cancelled = true;
    reply(std::move(lie));
    return;
  }
  api_.cancel(id,
              [this, id, asked_at = world_.now(), reply = std::move(reply)](Result<v1::Task> task) mutable {
                if (is_silent()) return;
                world_.step();
                if (task && task.value().state() == "cancelled") {
                  world_.counters.add("tasks cancelled");
                  auto& promises = world_.auditor.of(id);
                  promises.ended_at = std::min(promises.ended_at, world_.now());
                  world_.auditor.of(id).is_cancelled = true;
                }
                note_task(task, asked_at);
                reply(std::move(task));
              });
}

void Front::retry(const TaskId& id, Reply<v1::Task> reply) {
  ++world_.auditor.of(id).retries_asked;
  api_.retry(id, [this, reply = std::move(reply)](Result<v1::Task> task) mutable {
    if (is_silent()) return;
    if (task) world_.counters.add("dead tasks retried by hand");
    reply(std::move(task));
  });
}

void Front::pull(const queue::Pull& command, manager::Service::Delivery delivery, Duration wait,
                 IsWanted is_wanted, Reply<v1::PullReply> reply) {
  const Instant arrived = world_.now();
  Watched watched = watch(std::move(is_wanted));
  api_.pull(command, delivery, wait, std::move(watched.is_wanted),
            [this, arrived, wait, is_gone = watched.is_gone, delivery, queue = command.queue,
             reply = std::move(reply)](Result<v1::PullReply> answer) mutable {
              if (is_silent()) return;
              world_.step();
              if (answer) {
                world_.counters.add("results sent", static_cast<std::uint64_t>(answer.value().items_size()));
                for (const auto& item : answer.value().items())
                  world_.note(
                      delivery == manager::Service::Delivery::kOnce ? "result delivered" : "result sent",
                      item.id());
                const Pulled pulled{delivery == manager::Service::Delivery::kOnce, arrived, &answer.value()};
                world_.tell([&](Checker& checker) { checker.on_pulled(pulled); });
                const Waited waited{arrived, wait, nullptr, &answer.value(), queue};
                if (!is_draining_ && !*is_gone)
                  world_.tell([&](Checker& checker) { checker.on_waited(waited); });
              }
              reply(std::move(answer));
            });
}

void Front::ack(const v1::AckRequest& request, const std::vector<TaskId>& receipt_ids,
                Reply<v1::AckReply> reply) {
  api_.ack(request,
           [this, request, receipt_ids, reply = std::move(reply)](Result<v1::AckReply> answer) mutable {
             if (is_silent()) return;
             world_.step();
             if (answer) {
               world_.counters.add("results acknowledged", answer.value().acknowledged());
               const bool is_whole_receipt =
                   !request.receipt().empty() && answer.value().acknowledged() == receipt_ids.size();
               // By name everything is delivered, now or before; by receipt only what was counted.
               if (is_whole_receipt || request.ids_size() > 0) {
                 for (const auto& id : receipt_ids) {
                   world_.note("result acknowledged", id.to_string());
                   auto& promises = world_.auditor.of(id);
                   promises.delivered_at = std::min(promises.delivered_at, world_.now());
                 }
               }
             }
             reply(std::move(answer));
           });
}

void Front::patch_queue(const std::string& name, const v1::PatchQueueRequest& request,
                        Reply<v1::Queue> reply) {
  api_.patch_queue(name, request, [this, reply = std::move(reply)](Result<v1::Queue> queue) mutable {
    if (!is_silent()) reply(std::move(queue));
  });
}

void Front::list(const queue::ListTasks& query, Reply<v1::ListTasksReply> reply) {
  api_.list(query, [this, asked_at = world_.now(),
                    reply = std::move(reply)](Result<v1::ListTasksReply> page) mutable {
    if (is_silent()) return;
    if (page) {
      for (const auto& task : page.value().tasks()) {
        world_.tell([&](Checker& checker) { checker.on_seen(task, asked_at); });
      }
    }
    reply(std::move(page));
  });
}

// ---- workers ----

void Front::register_worker(std::uint64_t process, const v1::RegisterRequest& request,
                            Reply<v1::RegisterReply> reply) {
  api_.register_worker(
      request, [this, process, reply = std::move(reply)](Result<v1::RegisterReply> answer) mutable {
        if (is_silent()) return;
        if (answer) {
          world_.event("worker registered", answer.value().worker());
          world_.tell([&](Checker& checker) { checker.on_worker_named(process, answer.value().worker()); });
        }
        reply(std::move(answer));
      });
}

void Front::heartbeat(std::uint64_t process, const std::string& worker, v1::HeartbeatRequest request,
                      Reply<v1::HeartbeatReply> reply) {
  world_.tell([&](Checker& checker) { checker.on_heard(process); });
  for (const auto& lease : request.leases()) {
    world_.note("lease shown", lease.lease() + " by worker " + std::to_string(process) + " as " + worker);
  }
  world_.tell([&](Checker& checker) { checker.on_presented(process, request); });
  spoil(request);
  api_.heartbeat(worker, request,
                 [this, process, request, arrived = world_.now(),
                  reply = std::move(reply)](Result<v1::HeartbeatReply> answer) mutable {
                   if (is_silent()) return;
                   if (answer) {
                     world_.counters.add("heartbeats answered");
                     note_told(arrived, answer.value());
                     world_.tell([&](Checker& checker) { checker.on_beat(process); });
                     // What a sibling did not say in time of its part is left out of the answer.
                     if (!world_.is_shared()) note_kept(request, answer.value());
                   }
                   reply(std::move(answer));
                 });
}

// The breakages of a heartbeat.
void Front::spoil(v1::HeartbeatRequest& request) {
  if (world_.config.breakage == Breakage::kForgetLease) {
    // Every third task is one whose extensions are forgotten.
    v1::HeartbeatRequest kept = request;
    kept.clear_leases();
    for (const auto& lease : request.leases()) {
      if (LeaseToken::parse(lease.lease()).value().task.sequence % 3 != 0) *kept.add_leases() = lease;
    }
    request = std::move(kept);
  }
  if (world_.config.breakage == Breakage::kForeignCheckpoint) {
    for (auto& lease : *request.mutable_leases()) {
      if (lease.checkpoint().empty()) continue;
      std::string foreign = std::exchange(last_checkpoint_, lease.checkpoint());
      if (!foreign.empty() && world_.random.chance(0.2)) lease.set_checkpoint(std::move(foreign));
    }
  }
}

// What was cancelled while the heartbeat waited for its answer.
void Front::note_told(Instant arrived, const v1::HeartbeatReply& answer) {
  for (const auto& lease : answer.cancelled()) {
    const auto found = world_.disk.records().find(LeaseToken::parse(lease).value().task);
    if (found != world_.disk.records().end() && found->second.finished_at > arrived)
      world_.counters.add("cancels told to a heartbeat that waits");
  }
}

// Checkpoints of the leases that the manager says are their worker's.
void Front::note_kept(const v1::HeartbeatRequest& request, const v1::HeartbeatReply& answer) {
  std::set<std::string> gone(answer.lost().begin(), answer.lost().end());
  gone.insert(answer.cancelled().begin(), answer.cancelled().end());
  for (const auto& lease : request.leases()) {
    if (lease.checkpoint().empty() || gone.contains(lease.lease())) continue;
    const LeaseToken token = LeaseToken::parse(lease.lease()).value();
    world_.tell([&](Checker& checker) { checker.on_kept(token, lease.iterations_done(), false); });
  }
}

void Front::acquire(std::uint64_t process, const v1::AcquireRequest& request, IsWanted is_wanted,
                    Reply<v1::AcquireReply> reply) {
  world_.tell([&](Checker& checker) { checker.on_heard(process); });
  const std::uint64_t ticket = ++tickets_;
  auto shared = std::make_shared<IsWanted>(std::move(is_wanted));
  const Duration wait = milliseconds(static_cast<std::int64_t>(request.wait_ms()));
  const Parked parked{
      process, {request.kinds().begin(), request.kinds().end()}, world_.now(), world_.now() + wait, [shared] {
        return (*shared)();
      }};
  world_.tell([&](Checker& checker) { checker.on_parked(ticket, parked); });
  api_.acquire(
      request, [shared] { return (*shared)(); },
      [this, process, ticket, reply = std::move(reply)](Result<v1::AcquireReply> answer) mutable {
        if (is_silent()) return;
        world_.tell([&](Checker& checker) { checker.on_unparked(ticket); });
        world_.step();
        if (answer) {
          world_.counters.add("leases given", static_cast<std::uint64_t>(answer.value().leases_size()));
          for (const auto& lease : answer.value().leases()) {
            world_.note("lease given", lease.lease() + " to worker " + std::to_string(process));
          }
          world_.tell([&](Checker& checker) { checker.on_granted(process, answer.value()); });
        }
        reply(std::move(answer));
      });
}

void Front::complete(std::uint64_t process, const v1::CompleteRequest& request,
                     Reply<v1::CompleteReply> reply) {
  world_.tell([&](Checker& checker) { checker.on_heard(process); });
  for (const auto& outcome : request.outcomes()) {
    world_.note(outcome.failed() ? "failure arrives" : "result arrives",
                outcome.lease() + " from worker " + std::to_string(process));
    world_.tell([&](Checker& checker) { checker.on_outcome(process, outcome); });
  }
  api_.complete(request,
                [this, process, request, reply = std::move(reply)](Result<v1::CompleteReply> answer) mutable {
                  if (is_silent()) return;
                  world_.step();
                  if (answer) {
                    for (int i = 0; i < answer.value().outcomes_size(); ++i) {
                      const auto& settled = answer.value().outcomes(i);
                      world_.counters.add("outcomes " + settled.status());
                      world_.tell([&](Checker& checker) {
                        checker.on_settled(process, request.outcomes(i), settled.status());
                      });
                    }
                  }
                  reply(std::move(answer));
                });
}

void Front::release(std::uint64_t process, const v1::ReleaseRequest& request, Reply<v1::ReleaseReply> reply) {
  world_.tell([&](Checker& checker) { checker.on_heard(process); });
  world_.counters.add("leases handed back", static_cast<std::uint64_t>(request.leases_size()));
  for (const auto& lease : request.leases()) {
    world_.note(lease.started() ? "running lease handed back" : "waiting lease handed back", lease.lease());
  }
  world_.tell([&](Checker& checker) { checker.on_released(process, request); });
  api_.release(request, [this, request, reply = std::move(reply)](Result<v1::ReleaseReply> answer) mutable {
    if (is_silent()) return;
    // Only how many were live is told, not which.
    const bool are_all_live =
        answer && answer.value().released() == static_cast<std::uint32_t>(request.leases_size());
    for (const auto& lease : request.leases()) {
      if (!are_all_live || lease.checkpoint().empty()) continue;
      world_.counters.add("checkpoints handed back");
      const LeaseToken token = LeaseToken::parse(lease.lease()).value();
      world_.tell([&](Checker& checker) { checker.on_kept(token, lease.iterations_done(), true); });
    }
    reply(std::move(answer));
  });
}

void Front::delete_worker(std::uint64_t process, const std::string& worker, const std::string& reason,
                          Reply<v1::Worker> reply) {
  world_.tell([&](Checker& checker) { checker.on_worker_left(process); });
  api_.delete_worker(worker, reason, [this, reply = std::move(reply)](Result<v1::Worker> answer) mutable {
    if (!is_silent()) reply(std::move(answer));
  });
}

void Front::take_leave(const std::string& worker, Reply<v1::Worker> reply) {
  api_.delete_worker(worker, "it moved to another manager", std::move(reply));
}

void Front::drain_worker(const std::string& worker, Reply<v1::Worker> reply) {
  api_.drain_worker(worker, [this, reply = std::move(reply)](Result<v1::Worker> answer) mutable {
    if (!is_silent()) reply(std::move(answer));
  });
}

void Front::seed_get_work(const std::string& address, std::uint64_t connection,
                          Reply<manager::Service::SeedWork> reply) {
  api_.seed_get_work(address, connection,
                     [this, reply = std::move(reply)](Result<manager::Service::SeedWork> answer) mutable {
                       if (is_silent()) return;
                       if (answer && answer.value().is_found) world_.counters.add("seed leases given");
                       reply(std::move(answer));
                     });
}

void Front::seed_push_result(const std::string& address, std::uint64_t connection, const std::string& hex,
                             Reply<void> reply) {
  api_.seed_push_result(address, connection, hex,
                        [this, reply = std::move(reply)](Result<void> answer) mutable {
                          if (is_silent()) return;
                          world_.counters.add(answer ? "seed results taken" : "seed results refused");
                          reply(std::move(answer));
                        });
}

}  // namespace skep::sim
