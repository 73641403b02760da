// SPDX-License-Identifier: Apache-2.0
// service_world.h - a service on virtual time over the memory store, and short names for what tests ask of
// it.
//
// The store may be given flaws: commits that take long, blobs that can not be read.
//
// Threads:   one thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/virtual_executor.h"
#include "manager/service.h"
#include "store/memory_store.h"

namespace skep::manager::testing {

namespace v1 = api::v1;
using skep::testing::VirtualExecutor;

struct Flaws {
  Duration commit_lag{};                      // of each commit, before it is told
  std::map<store::BlobKey, Code> unreadable;  // a read that names one fails with the code
};

class FlawedSession final : public store::Session {
 public:
  FlawedSession(std::unique_ptr<store::Session> inner, Executor& executor, const Flaws& flaws)
      : inner_(std::move(inner)), executor_(executor), flaws_(flaws) {}

  void commit(std::vector<store::ShardBatch> batches, store::Sync sync, CommitDone done) override {
    auto late = [this, done = std::move(done)](Result<void> result) mutable {
      if (flaws_.commit_lag == Duration::zero()) return done(std::move(result));
      executor_.post_at(
          executor_.now() + flaws_.commit_lag,
          [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
    };
    inner_->commit(std::move(batches), sync, std::move(late));
  }
  void read(std::vector<store::BlobKey> keys, ReadDone done) override {
    for (const auto& key : keys) {
      const auto flaw = flaws_.unreadable.find(key);
      if (flaw == flaws_.unreadable.end()) continue;
      executor_.post([done = std::move(done), code = flaw->second]() mutable {
        done(fail(code, "the test says that it can not be read"));
      });
      return;
    }
    inner_->read(std::move(keys), std::move(done));
  }

 private:
  std::unique_ptr<store::Session> inner_;
  Executor& executor_;
  const Flaws& flaws_;
};

class FlawedStore final : public store::Store {
 public:
  FlawedStore(store::Store& inner, const Flaws& flaws) : inner_(inner), flaws_(flaws) {}
  Result<Epoch> claim(ShardId shard) override { return inner_.claim(shard); }
  ShardId shard_count() const override { return inner_.shard_count(); }
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) override {
    return inner_.load(shard, epoch, sink);
  }
  std::unique_ptr<store::Session> open_session(Executor& executor) override {
    return std::make_unique<FlawedSession>(inner_.open_session(executor), executor, flaws_);
  }
  store::StoreStats stats() const override { return inner_.stats(); }
  Result<void> close() override { return inner_.close(); }

 private:
  store::Store& inner_;
  const Flaws& flaws_;
};

class ServiceWorld : public ::testing::Test {
 protected:
  ServiceWorld() { restart(); }

  void restart() {
    service.reset();
    store.reset();
    memory = std::make_unique<store::MemoryStore>(disk);
    store = std::make_unique<FlawedStore>(*memory, flaws);
    options.address = "127.0.0.1:1";
    service = std::make_unique<Service>(executor, *store, options, Random(3), Logger());
    ASSERT_TRUE(service->start().has_value());
    settle();
  }
  void settle() { executor.run_for(milliseconds(1)); }

  // Calls `start` with a reply that is kept, and runs what is due.
  template <class T>
  std::shared_ptr<std::optional<Result<T>>> begin(std::function<void(Reply<T>)> start) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    start([slot](Result<T> reply) { slot->emplace(std::move(reply)); });
    settle();
    return slot;
  }
  template <class T>
  Result<T> call(std::function<void(Reply<T>)> start) {
    auto slot = begin<T>(std::move(start));
    EXPECT_TRUE(slot->has_value()) << "no answer";
    return slot->has_value() ? **slot : Result<T>(fail(Code::kTimeout, "no answer"));
  }

  TaskId enqueue(TaskSpec spec = {}, const std::string& body = "body") {
    if (spec.kind == "sha512" && spec.iterations == 0) spec.iterations = 1;
    auto reply = call<queue::EnqueueReply>([&](auto done) {
      service->enqueue({{spec, std::make_shared<const std::string>(body)}}, std::move(done));
    });
    return reply.value().front().id;
  }
  std::string add_worker(std::uint32_t slots = 1) {
    v1::RegisterRequest request;
    request.set_name("test");
    request.set_slots(slots);
    request.add_kinds("sha512");
    return call<v1::RegisterReply>([&](auto done) { service->register_worker(request, std::move(done)); })
        .value()
        .worker();
  }
  std::shared_ptr<std::optional<Result<v1::AcquireReply>>> begin_acquire(const std::string& worker,
                                                                         std::uint32_t max,
                                                                         std::uint64_t wait_ms) {
    v1::AcquireRequest request;
    request.set_worker(worker);
    request.set_max(max);
    request.set_wait_ms(wait_ms);
    return begin<v1::AcquireReply>([&](auto done) {
      service->acquire(request, {}, [done = std::move(done)](Result<Granted> granted) mutable {
        done(granted ? Result<v1::AcquireReply>(to_message(granted.value())) : granted.error());
      });
    });
  }
  v1::AcquireReply acquire(const std::string& worker, std::uint32_t max = 1) {
    return (*begin_acquire(worker, max, 0))->value();
  }
  v1::CompleteReply complete(const std::string& worker, const std::string& lease, const std::string& result) {
    v1::CompleteRequest request;
    request.set_worker(worker);
    auto& outcome = *request.add_outcomes();
    outcome.set_lease(lease);
    outcome.set_result(result);
    outcome.set_run_us(1'000);
    return to_message(call<Settled>([&](auto done) {
                        service->complete(from_message(std::move(request)), std::move(done));
                      }).value());
  }
  v1::HeartbeatReply heartbeat(const std::string& worker, const std::vector<std::string>& leases) {
    v1::HeartbeatRequest request;
    for (const auto& lease : leases) request.add_leases()->set_lease(lease);
    return call<v1::HeartbeatReply>([&](auto done) { service->heartbeat(worker, request, std::move(done)); })
        .value();
  }
  v1::Task get(const TaskId& id) {
    return call<v1::Task>([&](auto done) { service->get_task(id, kNoInstant, {}, std::move(done)); }).value();
  }
  Result<v1::PullReply> pull(Service::Delivery delivery = Service::Delivery::kOnce) {
    return call<v1::PullReply>(
        [&](auto done) { service->pull(queue::Pull{}, delivery, kNoInstant, {}, std::move(done)); });
  }
  std::shared_ptr<std::optional<Result<v1::PullReply>>> begin_pull(const std::string& queue,
                                                                   IsWanted is_wanted = {}) {
    queue::Pull command;
    command.queue = queue;
    auto slot = std::make_shared<std::optional<Result<v1::PullReply>>>();
    service->pull(command, Service::Delivery::kReceipt, executor.now() + minutes(5), std::move(is_wanted),
                  [slot](Result<v1::PullReply> reply) { slot->emplace(std::move(reply)); });
    settle();
    return slot;
  }
  v1::AckReply ack(const std::string& receipt) {
    v1::AckRequest request;
    request.set_receipt(receipt);
    return call<v1::AckReply>([&](auto done) { service->ack(request, std::move(done)); }).value();
  }
  Service::SeedWork seed_get_work(std::uint64_t connection) {
    return call<Service::SeedWork>(
               [&](auto done) { service->seed_get_work("10.0.0.7", connection, std::move(done)); })
        .value();
  }
  Result<void> seed_push(std::uint64_t connection, char digit) {
    return call<void>([&](auto done) {
      service->seed_push_result("10.0.0.7", connection, std::string(128, digit), std::move(done));
    });
  }

  ServiceOptions options;
  VirtualExecutor executor;
  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>();
  std::unique_ptr<store::MemoryStore> memory;
  Flaws flaws;
  std::unique_ptr<FlawedStore> store;
  std::unique_ptr<Service> service;
};

}  // namespace skep::manager::testing
