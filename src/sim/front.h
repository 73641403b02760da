// SPDX-License-Identifier: Apache-2.0
// front.h - the boundary of one simulated manager: what arrives, what is answered, and who is told.
//
// One method for each endpoint, as the service's, with the caller's name in the auditor's books beside it.
// Arrivals and answers are told to the checkers here, at the manager's side of the network. The breakages of
// the boundary are here too.
//
// Threads:   one executor at a time: the manager's process.
// Ownership: borrows world and api.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/api.h"
#include "sim/process.h"
#include "sim/world.h"

namespace skep::sim {

class Front {
 public:
  template <class T>
  using Reply = manager::Reply<T>;
  using IsWanted = manager::IsWanted;

  Front(World& world, Api& api, std::shared_ptr<Process> process, std::uint32_t life)
      : world_(world), api_(api), process_(std::move(process)), life_(life) {}

  // Another manager has taken over: what this one says is not heard any more.
  void silence() { is_silent_ = true; }
  // It is being stopped: who waits is answered with what there is.
  void begin_drain() { is_draining_ = true; }
  bool is_silent() const { return is_silent_ || process_->is_dead(); }
  std::uint32_t life() const { return life_; }

  // ---- clients ----
  void enqueue(const std::vector<Intent*>& intents, Reply<api::v1::EnqueueBatchReply> reply);
  void get(const TaskId& id, Duration wait, IsWanted is_wanted, Reply<api::v1::Task> reply);
  void result(const TaskId& id, Reply<store::Blob> reply);
  void cancel(const TaskId& id, Reply<api::v1::Task> reply);
  void retry(const TaskId& id, Reply<api::v1::Task> reply);
  void pull(const queue::Pull& command, manager::Service::Delivery delivery, Duration wait,
            IsWanted is_wanted, Reply<api::v1::PullReply> reply);
  // `receipt_ids`: what the receipt stands for.
  void ack(const api::v1::AckRequest& request, const std::vector<TaskId>& receipt_ids,
           Reply<api::v1::AckReply> reply);
  void patch_queue(const std::string& name, const api::v1::PatchQueueRequest& request,
                   Reply<api::v1::Queue> reply);
  void list(const queue::ListTasks& query, Reply<api::v1::ListTasksReply> reply);

  // ---- workers ----
  void register_worker(std::uint64_t process, const api::v1::RegisterRequest& request,
                       Reply<api::v1::RegisterReply> reply);
  void heartbeat(std::uint64_t process, const std::string& worker, api::v1::HeartbeatRequest request,
                 Reply<api::v1::HeartbeatReply> reply);
  void acquire(std::uint64_t process, const api::v1::AcquireRequest& request, IsWanted is_wanted,
               Reply<api::v1::AcquireReply> reply);
  void complete(std::uint64_t process, const api::v1::CompleteRequest& request,
                Reply<api::v1::CompleteReply> reply);
  void release(std::uint64_t process, const api::v1::ReleaseRequest& request,
               Reply<api::v1::ReleaseReply> reply);
  void delete_worker(std::uint64_t process, const std::string& worker, const std::string& reason,
                     Reply<api::v1::Worker> reply);
  // A worker went on at another manager: it is not gone.
  void take_leave(const std::string& worker, Reply<api::v1::Worker> reply);
  // What nobody is told of: for a breakage.
  void haunt(const std::string& worker, const api::v1::HeartbeatRequest& request,
             Reply<api::v1::HeartbeatReply> reply) {
    api_.heartbeat(worker, request, std::move(reply));
  }
  void drain_worker(const std::string& worker, Reply<api::v1::Worker> reply);
  void seed_get_work(const std::string& address, std::uint64_t connection,
                     Reply<manager::Service::SeedWork> reply);
  void seed_push_result(const std::string& address, std::uint64_t connection, const std::string& hex,
                        Reply<void> reply);

 private:
  struct Watched {
    std::shared_ptr<bool> is_gone;
    IsWanted is_wanted;
  };
  static Watched watch(IsWanted is_wanted);
  void note_task(const Result<api::v1::Task>& task, Instant asked_at);
  void spoil(api::v1::HeartbeatRequest& request);
  void note_told(Instant arrived, const api::v1::HeartbeatReply& answer);
  void note_kept(const api::v1::HeartbeatRequest& request, const api::v1::HeartbeatReply& answer);

  World& world_;
  Api& api_;
  std::shared_ptr<Process> process_;
  const std::uint32_t life_;
  std::uint64_t tickets_ = 0;
  std::string last_checkpoint_;  // for a breakage
  bool is_silent_ = false;
  bool is_draining_ = false;
};

}  // namespace skep::sim
