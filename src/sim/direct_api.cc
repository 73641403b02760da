// SPDX-License-Identifier: Apache-2.0
// What is asked of the service itself.
#include "sim/api.h"

namespace skep::sim {
namespace {

namespace v1 = api::v1;

// As it goes over the network.
template <class T>
auto in_words(UniqueFunction<void(Result<T>)> reply) {
  return [reply = std::move(reply)](auto answer) mutable {
    if (!answer) return reply(answer.error());
    reply(manager::to_message(answer.value()));
  };
}

class DirectApi final : public Api {
 public:
  DirectApi(Executor& executor, manager::Service& service) : executor_(executor), service_(service) {}

  void enqueue(const std::vector<Intent*>& intents, Reply<v1::EnqueueBatchReply> reply) override {
    std::vector<manager::Service::NewTask> tasks;
    for (const Intent* intent : intents)
      tasks.push_back({intent->spec, std::make_shared<const std::string>(intent->body)});
    service_.enqueue(std::move(tasks), in_words(std::move(reply)));
  }
  void get(const TaskId& id, Duration wait, IsWanted is_wanted, Reply<v1::Task> reply) override {
    service_.get_task(id, until(wait), std::move(is_wanted), std::move(reply));
  }
  void result(const TaskId& id, Reply<store::Blob> reply) override {
    service_.get_result(id, std::move(reply));
  }
  void cancel(const TaskId& id, Reply<v1::Task> reply) override {
    service_.cancel_task(id, std::move(reply));
  }
  void retry(const TaskId& id, Reply<v1::Task> reply) override { service_.retry_task(id, std::move(reply)); }
  void pull(const queue::Pull& command, Delivery delivery, Duration wait, IsWanted is_wanted,
            Reply<v1::PullReply> reply) override {
    service_.pull(command, delivery, until(wait), std::move(is_wanted), std::move(reply));
  }
  void ack(const v1::AckRequest& request, Reply<v1::AckReply> reply) override {
    service_.ack(request, std::move(reply));
  }
  void patch_queue(const std::string& name, const v1::PatchQueueRequest& request,
                   Reply<v1::Queue> reply) override {
    service_.patch_queue(name, request, std::move(reply));
  }
  void list(const queue::ListTasks& query, Reply<v1::ListTasksReply> reply) override {
    service_.list_tasks(query, std::move(reply));
  }

  void register_worker(const v1::RegisterRequest& request, Reply<v1::RegisterReply> reply) override {
    service_.register_worker(request, std::move(reply));
  }
  void heartbeat(const std::string& worker, const v1::HeartbeatRequest& request,
                 Reply<v1::HeartbeatReply> reply) override {
    service_.heartbeat(worker, request, std::move(reply));
  }
  void acquire(const v1::AcquireRequest& request, IsWanted is_wanted,
               Reply<v1::AcquireReply> reply) override {
    service_.acquire(request, std::move(is_wanted), in_words(std::move(reply)));
  }
  void complete(const v1::CompleteRequest& request, Reply<v1::CompleteReply> reply) override {
    service_.complete(manager::from_message(v1::CompleteRequest(request)), in_words(std::move(reply)));
  }
  void release(const v1::ReleaseRequest& request, Reply<v1::ReleaseReply> reply) override {
    service_.release(request, std::move(reply));
  }
  void delete_worker(const std::string& worker, const std::string& reason, Reply<v1::Worker> reply) override {
    service_.delete_worker(worker, reason, std::move(reply));
  }
  void drain_worker(const std::string& worker, Reply<v1::Worker> reply) override {
    service_.drain_worker_by_hand(worker, std::move(reply));
  }
  void seed_get_work(const std::string& address, std::uint64_t connection,
                     Reply<manager::Service::SeedWork> reply) override {
    service_.seed_get_work(address, connection, std::move(reply));
  }
  void seed_push_result(const std::string& address, std::uint64_t connection, const std::string& hex,
                        Reply<void> reply) override {
    service_.seed_push_result(address, connection, hex, std::move(reply));
  }

 private:
  Instant until(Duration wait) const {
    return wait == Duration::zero() ? kNoInstant : executor_.now() + wait;
  }

  Executor& executor_;
  manager::Service& service_;
};

}  // namespace

std::unique_ptr<Api> make_direct_api(Executor& executor, manager::Service& service) {
  return std::make_unique<DirectApi>(executor, service);
}

}  // namespace skep::sim
