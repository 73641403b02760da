// SPDX-License-Identifier: Apache-2.0
// A real worker and a real manager in one process: what one promises the other keeps. Method: sockets on
// loopback, the store in memory, results compared with the reference; a restart is a new manager on the same
// disk and port.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>

#include "base/clock.h"
#include "base/runner.h"
#include "client/client.h"
#include "compute/engine.h"
#include "manager/manager.h"
#include "provision/none.h"
#include "store/memory_store.h"
#include "worker/worker.h"

namespace skep {
namespace {

namespace v1 = api::v1;
using client::wait_for;

class WorkerAndManager : public ::testing::Test {
 protected:
  WorkerAndManager() { start_manager("127.0.0.1:0"); }
  ~WorkerAndManager() override {
    for (auto& worker : workers) {
      for (int i = 0; i < 3; ++i) worker->handle.drain(worker::DrainCause::kSignal);
      if (worker->code.valid()) worker->code.wait();
    }
    client.reset();
    runner.stop();
  }

  void start_manager(const std::string& listen) {
    store = std::make_unique<store::MemoryStore>(disk);
    manager::ManagerOptions options;
    options.http.listen = listen;
    options.heartbeat = milliseconds(50);
    auto started = manager::Manager::start(
        std::move(options), *store, clock,
        [](Executor& executor, const manager::WorkerAccess&) -> std::unique_ptr<scaler::Provisioner> {
          return std::make_unique<provision::NoneProvisioner>(executor);
        },
        Logger());
    ASSERT_TRUE(started.has_value()) << started.error().message;
    manager = std::move(started).value();
    address = manager->address();
    auto urls = client::parse_managers(address);
    ASSERT_TRUE(urls.has_value());
    if (client == nullptr) client = std::make_unique<client::Client>(runner, http, urls.value(), Random(1));
  }
  void stop_manager() {
    manager.reset();
    store.reset();
  }

  struct Worker {
    worker::DrainHandle handle;
    std::future<Result<int>> code;
  };
  Worker& start_worker(std::uint32_t slots) {
    auto& worker = *workers.emplace_back(std::make_unique<Worker>());
    worker.code = std::async(std::launch::async, [this, slots, handle = worker.handle] {
      worker::WorkerOptions options;
      options.managers = {address};
      options.slots = slots;
      return worker::run_worker(std::move(options), clock, Logger(), handle);
    });
    return worker;
  }
  static int exit_code(Worker& worker) {
    if (worker.code.wait_for(std::chrono::minutes(1)) != std::future_status::ready) return -1;
    const auto code = worker.code.get();
    return code.has_value() ? code.value() : -1;
  }

  client::CallOptions patient() const {
    client::CallOptions call;
    call.deadline = clock.now() + minutes(1);
    call.missing_key = client::MissingKey::kMake;
    return call;
  }
  std::string enqueue(const std::string& body, std::uint64_t iterations) {
    v1::TaskOptions options;
    options.set_iterations(iterations);
    const auto reply = wait_for<v1::EnqueueReply>([&](auto done) {
      client->enqueue(options, std::make_shared<const std::string>(body), patient(), std::move(done));
    });
    EXPECT_TRUE(reply.has_value()) << reply.error().message;
    return reply.has_value() ? reply.value().id() : "";
  }
  // Asks until the task is as wanted, or a minute is over.
  v1::Task task_when(const std::string& id, const std::function<bool(const v1::Task&)>& is_wanted) {
    const Instant end = clock.now() + minutes(1);
    v1::Task task;
    while (clock.now() < end) {
      auto reply = wait_for<v1::Task>(
          [&](auto done) { client->get_task(id, milliseconds(20), patient(), std::move(done)); });
      if (!reply.has_value()) continue;
      task = std::move(reply).value();
      if (is_wanted(task)) return task;
    }
    ADD_FAILURE() << id << " is " << task.state() << ": " << task.explanation();
    return task;
  }
  v1::Task task_in(const std::string& id, const std::string& state) {
    return task_when(id, [&](const v1::Task& task) { return task.state() == state; });
  }

  static std::string digest(const std::string& body, std::uint64_t iterations) {
    return compute::to_hex(compute::reference_digest(body, iterations));
  }
  static constexpr std::uint64_t kForEver = std::uint64_t{1} << 53;

  SystemClock clock;
  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>();
  std::unique_ptr<store::MemoryStore> store;
  Runner runner{clock, "test"};
  http::Client http{clock, {}};
  std::unique_ptr<client::Client> client;
  std::unique_ptr<manager::Manager> manager;
  std::string address;
  std::vector<std::unique_ptr<Worker>> workers;
};

TEST_F(WorkerAndManager, EveryTaskIsDoneOnceAndRight) {
  std::map<std::string, std::string> expected;
  Worker& first = start_worker(2);
  start_worker(1);
  for (std::uint64_t i = 1; i <= 60; ++i) {
    const std::string body(i * 997 % 20'000, static_cast<char>(i));
    expected[enqueue(body, i * 7)] = digest(body, i * 7);
  }
  for (const auto& [id, result] : expected) {
    const v1::Task task = task_in(id, "done");
    EXPECT_EQ(task.leases(), 1u);
    EXPECT_TRUE(task.errors().empty());
  }
  const auto pulled = wait_for<std::vector<client::Client::PulledResult>>(
      [&](auto done) { client->pull_completed(100, patient(), std::move(done)); });
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  std::map<std::string, std::string> found;
  for (const auto& item : pulled.value()) EXPECT_TRUE(found.emplace(item.id, item.result).second) << item.id;
  EXPECT_EQ(found, expected);
  first.handle.drain(worker::DrainCause::kSignal);
  EXPECT_EQ(exit_code(first), 0);
}

TEST_F(WorkerAndManager, DrainedWorkerHandsOverToAnother) {
  Worker& first = start_worker(1);
  const std::string running = enqueue("long", kForEver);
  const std::string waiting = enqueue("short", 3);
  task_when(running, [](const v1::Task& task) { return task.state() == "leased"; });
  first.handle.drain(worker::DrainCause::kSignal);
  first.handle.drain(worker::DrainCause::kSignal);
  EXPECT_EQ(exit_code(first), 0);
  const v1::Task back = task_when(running, [](const v1::Task& task) { return task.state() != "leased"; });
  EXPECT_EQ(back.attempts_failed(), 0u);  // no attempt of the user's is spent
  start_worker(2);
  task_in(waiting, "done");
  task_in(running, "leased");
}

TEST_F(WorkerAndManager, CancelledTaskFreesItsSlot) {
  start_worker(1);
  const std::string running = enqueue("long", kForEver);
  task_in(running, "leased");
  const auto cancelled =
      wait_for<v1::Task>([&](auto done) { client->cancel_task(running, patient(), std::move(done)); });
  ASSERT_TRUE(cancelled.has_value()) << cancelled.error().message;
  EXPECT_EQ(cancelled.value().state(), "cancelled");
  task_in(enqueue("next", 5), "done");
}

TEST_F(WorkerAndManager, ManagersRestartLosesNothingAndRepeatsNothing) {
  start_worker(2);
  std::map<std::string, std::string> expected;
  for (std::uint64_t i = 1; i <= 30; ++i) {
    const std::string body = "body " + std::to_string(i);
    expected[enqueue(body, 20'000)] = digest(body, 20'000);
  }
  const std::string long_one = enqueue("long", 600'000);
  task_in(expected.begin()->first, "done");
  const std::string listen = address;
  stop_manager();
  start_manager(listen);
  for (const auto& [id, result] : expected) task_in(id, "done");
  const v1::Task task = task_in(long_one, "done");
  EXPECT_TRUE(task.errors().empty());
  expected[long_one] = digest("long", 600'000);
  const auto pulled = wait_for<std::vector<client::Client::PulledResult>>(
      [&](auto done) { client->pull_completed(100, patient(), std::move(done)); });
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  std::map<std::string, std::string> found;
  for (const auto& item : pulled.value()) EXPECT_TRUE(found.emplace(item.id, item.result).second) << item.id;
  EXPECT_EQ(found, expected);
}

TEST_F(WorkerAndManager, WorkerThatIsDrainedByHandLeaves) {
  Worker& worker = start_worker(1);
  task_in(enqueue("one", 1), "done");
  const auto listed =
      wait_for<v1::WorkersReply>([&](auto done) { client->workers(patient(), std::move(done)); });
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed.value().workers_size(), 1);
  http::ClientRequest request;
  request.method = http::Method::kPost;
  request.target = "/v1/workers/" + listed.value().workers(0).id() + ":drain";
  const auto url = client::parse_managers(address).value()[0];
  const auto answer = http.send_wait(url, std::move(request), clock.now() + minutes(1));
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer.value().status, 200);
  EXPECT_EQ(exit_code(worker), 0);
}

}  // namespace
}  // namespace skep
