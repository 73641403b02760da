// SPDX-License-Identifier: Apache-2.0
// Goal: who waits for leases of several managers waits, and does not keep its manager busy. Method: a
// forwarder on virtual time, whose siblings answer nothing.
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "base/testing/virtual_executor.h"
#include "manager/forwarder.h"
#include "manager/testing/cut_store.h"

namespace skep::manager {
namespace {

using skep::testing::VirtualExecutor;

class NoSiblings final : public SiblingCalls {
 public:
  explicit NoSiblings(Executor& executor) : executor_(executor) {}
  void send(const std::string&, http::ClientRequest, Duration, http::Client::Done done) override {
    executor_.post([done = std::move(done)]() mutable { done(fail(Code::kUnavailable, "nobody is there")); });
  }

 private:
  Executor& executor_;
};

class ForwarderWait : public ::testing::Test {
 protected:
  ForwarderWait()
      : store(disk),
        other_store(disk),
        service(executor, store, options(1), Random(1), Logger()),
        other(executor, other_store, options(2), Random(3), Logger()),
        forwarder(executor, service, calls, true, Random(2)) {
    EXPECT_TRUE(service.start());
    EXPECT_TRUE(other.start());
    executor.run_for(seconds(5));
    forwarder.start();
  }
  static ServiceOptions options(int number) {
    ServiceOptions options;
    options.address = "127.0.0.1:" + std::to_string(number);
    return options;
  }

  VirtualExecutor executor;
  NoSiblings calls{executor};
  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>(4, executor);
  testing::CutStore store;
  testing::CutStore other_store;
  Service service;
  Service other;
  Forwarder forwarder;
};

TEST_F(ForwarderWait, AWorkerThatIsAskedToMoveIsAnsweredAtOnceThatItMayGo) {
  std::string worker;
  api::v1::RegisterRequest registration;
  registration.set_name("test");
  registration.set_slots(1);
  registration.add_kinds("sha512");
  service.register_worker(registration,
                          [&](Result<api::v1::RegisterReply> reply) { worker = reply.value().worker(); });
  executor.run_for(milliseconds(10));
  api::v1::AcquireRequest request;
  request.set_worker(worker);
  request.set_max(1);
  request.set_wait_ms(30'000);
  std::optional<Result<Granted>> granted;
  forwarder.acquire(request, {}, [&](Result<Granted> reply) { granted.emplace(std::move(reply)); });
  executor.run_for(milliseconds(10));
  EXPECT_FALSE(granted) << "nothing is there";
  service.ask_to_move("127.0.0.1:2", 1);
  const auto before = executor.events_ran();
  executor.run_for(milliseconds(500));
  ASSERT_TRUE(granted);
  EXPECT_TRUE(granted->value().leases.empty());
  EXPECT_LT(executor.events_ran() - before, 100u) << "it asked again and again";
}

// Its own shards are lost, its sibling is not reached: there is nothing to wait at.
TEST_F(ForwarderWait, APullThatFindsNobodyLooksAgainAfterAMoment) {
  store.commit_error = fail(Code::kUnavailable, "cut off");
  store.is_cut_off = true;
  TaskSpec spec;
  spec.iterations = 1;
  service.enqueue({{spec, std::make_shared<const std::string>("body")}}, [](const auto&) {});
  executor.run_for(milliseconds(10));
  ASSERT_TRUE(service.host().shards().empty());
  std::optional<Result<api::v1::PullReply>> pulled;
  queue::Pull command;
  command.max = 1;
  const auto before = executor.events_ran();
  forwarder.pull(command, Service::Delivery::kReceipt, executor.now() + seconds(2), {},
                 [&](Result<api::v1::PullReply> reply) { pulled.emplace(std::move(reply)); });
  executor.run_for(seconds(1));
  EXPECT_FALSE(pulled);
  EXPECT_LT(executor.events_ran() - before, 1'000u) << "it asked again and again";
  executor.run_for(seconds(2));
  ASSERT_TRUE(pulled);
  EXPECT_EQ(pulled->value().silent_size(), 2) << "neither could say";
}

}  // namespace
}  // namespace skep::manager
