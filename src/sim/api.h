// SPDX-License-Identifier: Apache-2.0
// api.h - what clients and workers may ask of one simulated manager: one method for each endpoint.
//
//   direct_api   the service itself, of a manager that has its store to itself
//   http_api     the routes, of one that has siblings: each request and answer as it goes over HTTP, passed
//   on
//                where another manager has what is asked for
//
// Threads:   one executor at a time: the manager's process.
// Ownership: borrows the manager's parts; a reply after its end is dropped.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "manager/service.h"
#include "sim/auditor.h"

namespace skep::manager {
class Routes;
}
namespace skep::http {
struct ClientRequest;
struct Response;
}  // namespace skep::http

namespace skep::sim {

class Api {
 public:
  template <class T>
  using Reply = manager::Reply<T>;
  using IsWanted = manager::IsWanted;
  using Delivery = manager::Service::Delivery;

  virtual ~Api() = default;

  virtual void enqueue(const std::vector<Intent*>& intents, Reply<api::v1::EnqueueBatchReply> reply) = 0;
  virtual void get(const TaskId& id, Duration wait, IsWanted is_wanted, Reply<api::v1::Task> reply) = 0;
  virtual void result(const TaskId& id, Reply<store::Blob> reply) = 0;
  virtual void cancel(const TaskId& id, Reply<api::v1::Task> reply) = 0;
  virtual void retry(const TaskId& id, Reply<api::v1::Task> reply) = 0;
  virtual void pull(const queue::Pull& command, Delivery delivery, Duration wait, IsWanted is_wanted,
                    Reply<api::v1::PullReply> reply) = 0;
  virtual void ack(const api::v1::AckRequest& request, Reply<api::v1::AckReply> reply) = 0;
  virtual void patch_queue(const std::string& name, const api::v1::PatchQueueRequest& request,
                           Reply<api::v1::Queue> reply) = 0;
  virtual void list(const queue::ListTasks& query, Reply<api::v1::ListTasksReply> reply) = 0;

  virtual void register_worker(const api::v1::RegisterRequest& request,
                               Reply<api::v1::RegisterReply> reply) = 0;
  virtual void heartbeat(const std::string& worker, const api::v1::HeartbeatRequest& request,
                         Reply<api::v1::HeartbeatReply> reply) = 0;
  virtual void acquire(const api::v1::AcquireRequest& request, IsWanted is_wanted,
                       Reply<api::v1::AcquireReply> reply) = 0;
  virtual void complete(const api::v1::CompleteRequest& request, Reply<api::v1::CompleteReply> reply) = 0;
  virtual void release(const api::v1::ReleaseRequest& request, Reply<api::v1::ReleaseReply> reply) = 0;
  virtual void delete_worker(const std::string& worker, const std::string& reason,
                             Reply<api::v1::Worker> reply) = 0;
  virtual void drain_worker(const std::string& worker, Reply<api::v1::Worker> reply) = 0;
  virtual void seed_get_work(const std::string& address, std::uint64_t connection,
                             Reply<manager::Service::SeedWork> reply) = 0;
  virtual void seed_push_result(const std::string& address, std::uint64_t connection, const std::string& hex,
                                Reply<void> reply) = 0;
};

std::unique_ptr<Api> make_direct_api(Executor& executor, manager::Service& service);
std::unique_ptr<Api> make_http_api(manager::Routes& routes);

// Hands a request to the routes, as the server does. `done` once.
struct Caller {
  std::function<bool()> is_gone = [] { return false; };
  std::string address = "10.0.0.1";
  std::uint64_t connection = 1;
};
void serve(manager::Routes& routes, http::ClientRequest request, Caller caller,
           UniqueFunction<void(http::Response)> done);

}  // namespace skep::sim
