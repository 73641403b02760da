// SPDX-License-Identifier: Apache-2.0
// The client against real sockets: each call reaches its endpoint, and failures are retried exactly where
// that is harmless. Method: servers on loopback that answer as told, one that only closes connections where
// the wire must fail.
#include "client/client.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/clock.h"
#include "base/runner.h"
#include "base/testing/virtual_executor.h"
#include "client/link.h"
#include "client/testing/fake_manager.h"
#include "http/testing/scripted_server.h"

namespace skep::client {
namespace {

namespace v1 = api::v1;
using http::testing::RawConnection;
using http::testing::ScriptedServer;
using testing::FakeManager;
using testing::problem;
using testing::reply;

class ClientTest : public ::testing::Test {
 protected:
  ~ClientTest() override { runner.stop(); }

  std::unique_ptr<Client> make(std::vector<http::Url> managers, Encoding encoding = Encoding::kProtobuf) {
    return std::make_unique<Client>(runner, http, std::move(managers), Random(1), encoding);
  }
  CallOptions in(Duration duration) const { return {.deadline = clock.now() + duration}; }
  CallOptions once() const { return {.deadline = clock.now() + seconds(10), .retry = Retry::kNever}; }

  // A port that nobody listens on.
  static http::Url nobody() {
    const FakeManager gone([](const http::Request&) { return http::Response{}; });
    return gone.url();
  }

  Result<v1::Task> get_task(Client& client, CallOptions call) {
    return wait_for<v1::Task>([&](auto done) { client.get_task("id1", {}, call, std::move(done)); });
  }
  Result<v1::EnqueueReply> enqueue(Client& client, CallOptions call) {
    v1::TaskOptions options;
    options.set_iterations(3);
    return wait_for<v1::EnqueueReply>([&](auto done) {
      client.enqueue(options, std::make_shared<const std::string>("body"), call, std::move(done));
    });
  }

  SystemClock clock;
  Runner runner{clock, "client-test"};
  http::Client http{clock, {}};
};

v1::Task task(std::string id) {
  v1::Task out;
  out.set_id(std::move(id));
  return out;
}

http::Response enqueued() {
  v1::EnqueueReply out;
  out.set_id("id7");
  return reply(out);
}

// Answers the first request of each of two connections: closes the first one without a word.
ScriptedServer* broken_then(std::string second_answer, std::vector<std::string>& heads) {
  return new ScriptedServer([&heads, second_answer](ScriptedServer& self) {
    {
      RawConnection first(self.accept());
      heads.push_back(first.read_until("\r\n\r\n"));
    }
    if (second_answer.empty()) return;
    RawConnection second(self.accept());
    heads.push_back(second.read_until("\r\n\r\n"));
    second.send(second_answer);
  });
}

TEST_F(ClientTest, EnqueueSendsTheBodyRawAndTheOptionsInTheQuery) {
  FakeManager manager([](const http::Request&) { return enqueued(); });
  const auto client = make({manager.url()});
  v1::TaskOptions options;
  options.set_iterations(3);
  options.set_idempotency_key("key");
  const auto result = wait_for<v1::EnqueueReply>([&](auto done) {
    client->enqueue(options, std::make_shared<const std::string>("\xff\x00raw"), in(seconds(10)),
                    std::move(done));
  });
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result.value().id(), "id7");
  const auto request = manager.requests().at(0);
  EXPECT_EQ(request.method, http::Method::kPost);
  EXPECT_EQ(request.path, "/v1/tasks");
  EXPECT_EQ(request.param("iterations"), "3");
  EXPECT_EQ(*request.headers.find("idempotency-key"), "key");
  EXPECT_EQ(*request.headers.find("accept"), "application/x-protobuf");
}

TEST_F(ClientTest, EveryCallReachesItsEndpoint) {
  FakeManager manager([](const http::Request& request) {
    if (request.path == "/pullCompleted") {
      return http::Response::text(200, api::kJson,
                                  R"({"results":["ab"],"items":[{"id":"1","result":"ab"}]})");
    }
    return http::Response::text(200, api::kProtobuf, "");
  });
  const auto client = make({manager.url()});
  const auto call = in(seconds(10));
  const auto check = [&]<class T>(std::string line, UniqueFunction<void(Client::Done<T>)> start) {
    EXPECT_TRUE(wait_for<T>([&](auto done) { start(std::move(done)); }).has_value()) << line;
    const auto request = manager.requests().back();
    std::string seen = std::string(http::method_name(request.method)) + " " + request.path;
    for (const auto& [name, value] : request.query) seen += " " + name + "=" + value;
    EXPECT_EQ(seen, line);
  };
  Client& c = *client;
  check.operator()<v1::EnqueueBatchReply>("POST /v1/tasks:batch",
                                          [&](auto d) { c.enqueue_batch({}, call, std::move(d)); });
  check.operator()<v1::Task>("GET /v1/tasks/i d wait=1m30s",
                             [&](auto d) { c.get_task("i d", seconds(90), call, std::move(d)); });
  check.operator()<std::string>("GET /v1/tasks/x/result",
                                [&](auto d) { c.get_result("x", call, std::move(d)); });
  check.operator()<v1::Task>("DELETE /v1/tasks/x", [&](auto d) { c.cancel_task("x", call, std::move(d)); });
  check.operator()<v1::Task>("POST /v1/tasks/x:retry",
                             [&](auto d) { c.retry_task("x", call, std::move(d)); });
  check.operator()<v1::ListTasksReply>("GET /v1/tasks state=dead tag=t limit=100", [&](auto d) {
    c.list_tasks({.state = "dead", .queue = "", .tag = "t", .cursor = ""}, call, std::move(d));
  });
  check.operator()<v1::PullReply>("POST /v1/results:pull wait=1s max=5 queue=q",
                                  [&](auto d) { c.pull_results(5, seconds(1), "q", call, std::move(d)); });
  check.operator()<v1::AckReply>("POST /v1/results:ack",
                                 [&](auto d) { c.ack_results({}, call, std::move(d)); });
  check.operator()<std::vector<Client::PulledResult>>(
      "POST /pullCompleted top=2", [&](auto d) { c.pull_completed(2, call, std::move(d)); });
  check.operator()<v1::RegisterReply>("POST /v1/workers",
                                      [&](auto d) { c.register_worker({}, call, std::move(d)); });
  check.operator()<v1::HeartbeatReply>("POST /v1/workers/w:heartbeat",
                                       [&](auto d) { c.heartbeat("w", {}, call, std::move(d)); });
  check.operator()<v1::Worker>("DELETE /v1/workers/w reason=bye",
                               [&](auto d) { c.delete_worker("w", "bye", call, std::move(d)); });
  check.operator()<v1::AcquireReply>("POST /v1/leases:acquire",
                                     [&](auto d) { c.acquire({}, call, std::move(d)); });
  check.operator()<v1::CompleteReply>("POST /v1/leases:complete",
                                      [&](auto d) { c.complete({}, call, std::move(d)); });
  check.operator()<v1::ReleaseReply>("POST /v1/leases:release",
                                     [&](auto d) { c.release({}, call, std::move(d)); });
  check.operator()<v1::ClusterReply>("GET /v1/cluster", [&](auto d) { c.cluster(call, std::move(d)); });
  check.operator()<v1::WorkersReply>("GET /v1/workers", [&](auto d) { c.workers(call, std::move(d)); });
  check.operator()<v1::QueuesReply>("GET /v1/queues", [&](auto d) { c.queues(call, std::move(d)); });
  check.operator()<v1::Queue>("PATCH /v1/queues/q",
                              [&](auto d) { c.patch_queue("q", {}, call, std::move(d)); });
  check.operator()<v1::ScalingReply>("GET /v1/scaling limit=9",
                                     [&](auto d) { c.scaling(9, kNever, call, std::move(d)); });
  check.operator()<v1::DecisionsReply>("GET /v1/decisions limit=3 worker=w1 until_ms=77", [&](auto d) {
    c.decisions({"", "w1", from_unix_ms(77), 3}, call, std::move(d));
  });
}

TEST_F(ClientTest, CallsAboutTheFleetReachTheirEndpoints) {
  FakeManager manager([](const http::Request&) { return http::Response::text(200, api::kProtobuf, ""); });
  const auto client = make({manager.url()});
  const auto call = in(seconds(10));
  const auto seen = [&] {
    const auto request = manager.requests().back();
    return std::string(http::method_name(request.method)) + " " + request.path;
  };
  EXPECT_TRUE(wait_for<v1::ScalingState>([&](auto d) { client->order_fleet({}, call, std::move(d)); }));
  EXPECT_EQ(seen(), "PUT /v1/scaling/order");
  EXPECT_TRUE(wait_for<v1::ScalingState>([&](auto d) { client->end_fleet_order(call, std::move(d)); }));
  EXPECT_EQ(seen(), "DELETE /v1/scaling/order");
  EXPECT_TRUE(wait_for<v1::CostReply>([&](auto d) { client->cost(call, std::move(d)); }));
  EXPECT_EQ(seen(), "GET /v1/cost");
}

TEST_F(ClientTest, SpeaksJsonWhenAsked) {
  FakeManager manager(
      [](const http::Request&) { return http::Response::text(200, api::kJson, R"({"acknowledged":2})"); });
  const auto client = make({manager.url()}, Encoding::kJson);
  v1::AckRequest request;
  request.set_receipt("r");
  const auto result = wait_for<v1::AckReply>(
      [&](auto done) { client->ack_results(request, in(seconds(10)), std::move(done)); });
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result.value().acknowledged(), 2u);
  EXPECT_EQ(*manager.requests().at(0).body, R"({"receipt":"r"})");
}

TEST_F(ClientTest, ProblemBecomesItsCodeAndSentenceWithoutARetry) {
  FakeManager manager([](const http::Request&) { return problem(fail(Code::kNotFound, "no task id1")); });
  const auto client = make({manager.url()});
  const auto result = get_task(*client, in(seconds(10)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), fail(Code::kNotFound, "no task id1"));
  EXPECT_EQ(manager.requests().size(), 1u);
}

TEST_F(ClientTest, ManagerThatIsNotThereIsFollowedByTheNextWhichIsThenPreferred) {
  FakeManager manager([](const http::Request&) { return reply(task("id1")); });
  const http::Url gone = nobody();
  const auto client = make({gone, manager.url()});
  EXPECT_EQ(client->current_manager(), gone.host_port());
  EXPECT_TRUE(get_task(*client, in(seconds(10))).has_value());
  EXPECT_EQ(client->current_manager(), manager.url().host_port());
}

TEST_F(ClientTest, BusyManagerIsAskedAgainUntilItServes) {
  std::atomic<int> calls = 0;
  FakeManager manager([&](const http::Request&) {
    return ++calls < 4 ? problem(fail(Code::kUnavailable, "starting")) : reply(task("id1"));
  });
  const auto client = make({manager.url()});
  EXPECT_TRUE(get_task(*client, in(seconds(60))).has_value());
  EXPECT_EQ(calls, 4);
}

TEST_F(ClientTest, RetryAfterBeyondTheDeadlineEndsTheCallAtOnce) {
  FakeManager manager([&](const http::Request&) {
    auto response = problem(fail(Code::kExhausted, "the queue is full"));
    response.headers.set("Retry-After", "50");
    return response;
  });
  const auto client = make({manager.url()});
  const auto result = get_task(*client, in(seconds(40)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), fail(Code::kExhausted, "the queue is full"));
  EXPECT_EQ(manager.requests().size(), 1u);
}

TEST_F(ClientTest, UnavailableNamesEveryManagerThatWasTried) {
  const auto busy = [](const http::Request&) {
    auto response = problem(fail(Code::kUnavailable, "draining"));
    response.headers.set("Retry-After", "50");
    return response;
  };
  FakeManager first(busy);
  FakeManager second(busy);
  const auto client = make({first.url(), second.url()});
  const auto result = get_task(*client, in(seconds(40)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_EQ(result.error().message,
            "draining (tried " + first.url().host_port() + " " + second.url().host_port() + ")");
}

TEST_F(ClientTest, CallThatMayNotBeRetriedIsTriedOnce) {
  FakeManager manager([](const http::Request&) { return problem(fail(Code::kUnavailable, "draining")); });
  const auto client = make({manager.url(), manager.url()});
  EXPECT_EQ(get_task(*client, once()).error().code, Code::kUnavailable);
  EXPECT_EQ(manager.requests().size(), 1u);
}

TEST_F(ClientTest, IdempotentCallIsRepeatedAfterABrokenConnection) {
  std::vector<std::string> heads;
  const std::unique_ptr<ScriptedServer> server(broken_then(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"id\":\"id1\"}",
      heads));
  const auto client = make({{"127.0.0.1", server->port(), ""}});
  const auto result = get_task(*client, in(seconds(10)));
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result.value().id(), "id1");
  server->finish();
  EXPECT_EQ(heads.size(), 2u);
}

TEST_F(ClientTest, EnqueueWithoutAKeyIsNotRepeatedWhenItMayHaveHappened) {
  std::vector<std::string> heads;
  const std::unique_ptr<ScriptedServer> server(broken_then("", heads));
  const auto client = make({{"127.0.0.1", server->port(), ""}});
  const auto result = enqueue(*client, in(seconds(10)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kUnknownOutcome);
}

TEST_F(ClientTest, EnqueueIsGivenAKeyWhenAskedAndRepeatedUnderIt) {
  std::vector<std::string> heads;
  const std::unique_ptr<ScriptedServer> server(broken_then(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"id\":\"id7\"}",
      heads));
  const auto client = make({{"127.0.0.1", server->port(), ""}});
  auto call = in(seconds(10));
  call.missing_key = MissingKey::kMake;
  const auto result = enqueue(*client, call);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  server->finish();
  ASSERT_EQ(heads.size(), 2u);
  EXPECT_NE(heads[0].find("Idempotency-Key: skep-"), std::string::npos);
  EXPECT_EQ(heads[0], heads[1]);
}

TEST_F(ClientTest, BatchGetsAKeyForEachTaskThatHasNone) {
  FakeManager manager([](const http::Request&) { return reply(v1::EnqueueBatchReply()); });
  const auto client = make({manager.url()});
  v1::EnqueueBatchRequest batch;
  batch.add_tasks()->mutable_options()->set_idempotency_key("mine");
  batch.add_tasks();
  batch.add_tasks();
  auto call = in(seconds(10));
  call.missing_key = MissingKey::kMake;
  ASSERT_TRUE(wait_for<v1::EnqueueBatchReply>([&](auto done) {
                client->enqueue_batch(batch, call, std::move(done));
              }).has_value());
  v1::EnqueueBatchRequest sent;
  ASSERT_TRUE(sent.ParseFromString(*manager.requests().at(0).body));
  EXPECT_EQ(sent.tasks(0).options().idempotency_key(), "mine");
  EXPECT_FALSE(sent.tasks(1).options().idempotency_key().empty());
  EXPECT_NE(sent.tasks(1).options().idempotency_key(), sent.tasks(2).options().idempotency_key());
}

TEST_F(ClientTest, PullCompletedIsNeverSentTwice) {
  FakeManager manager([](const http::Request&) { return problem(fail(Code::kUnavailable, "starting")); });
  const auto client = make({manager.url(), manager.url()});
  const auto result = wait_for<std::vector<Client::PulledResult>>(
      [&](auto done) { client->pull_completed(3, in(seconds(10)), std::move(done)); });
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_EQ(manager.requests().size(), 1u);
}

TEST_F(ClientTest, ArgumentThatCanNotBeSentIsRefusedWithoutACall) {
  FakeManager manager([](const http::Request&) { return enqueued(); });
  const auto client = make({manager.url()});
  v1::TaskOptions options;
  options.set_idempotency_key("two\r\nlines");
  const auto result = wait_for<v1::EnqueueReply>(
      [&](auto done) { client->enqueue(options, nullptr, in(seconds(10)), std::move(done)); });
  EXPECT_EQ(result.error().code, Code::kInvalid);
  EXPECT_TRUE(manager.requests().empty());
}

TEST_F(ClientTest, ListOfManagersCanBeReplacedAndWalked) {
  FakeManager manager([](const http::Request&) { return reply(task("id1")); });
  const auto client = make({nobody()});
  client->set_managers({nobody(), manager.url()});
  client->next_manager();
  EXPECT_EQ(client->current_manager(), manager.url().host_port());
  EXPECT_TRUE(get_task(*client, once()).has_value());
}

TEST_F(ClientTest, CallsEndWhenTheClientGoes) {
  FakeManager manager([](const http::Request&) { return problem(fail(Code::kUnavailable, "draining")); });
  auto client = make({manager.url()});
  const auto result = wait_for<v1::Task>([&](auto done) {
    client->get_task("id1", {}, CallOptions{}, std::move(done));
    manager.wait_for_requests(2);
    client.reset();
  });
  EXPECT_EQ(result.error().code, Code::kUnavailable);
}

// The executor is busy: the call has not begun when its connections go.
TEST_F(ClientTest, CallThatHasNotBegunWhenTheLinkGoesIsAnswered) {
  FakeManager manager([](const http::Request&) { return reply(task("id1")); });
  skep::testing::VirtualExecutor executor;
  auto link = std::make_unique<Link>(executor, executor, http::ClientOptions{}, std::vector{manager.url()},
                                     Random(1));
  std::optional<Result<v1::Task>> answer;
  link->client().get_task("id1", {}, {}, [&](Result<v1::Task> result) { answer = std::move(result); });
  link.reset();
  executor.run_ready();
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(answer->has_error());
  EXPECT_EQ(answer->error().code, Code::kUnavailable);
  EXPECT_TRUE(manager.requests().empty());
}

TEST(WaitFor, EndsWhenTheCallbackIsDropped) {
  const auto result = wait_for<int>([](auto) {});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kUnavailable);
}

TEST(ParseManagers, TakesAListAndRefusesGaps) {
  const auto list = parse_managers("http://a:1,b:2");
  ASSERT_TRUE(list.has_value());
  ASSERT_EQ(list.value().size(), 2u);
  EXPECT_EQ(list.value()[1].host_port(), "b:2");
  for (const auto* bad : {"", ",", "http://a:1,", "http://a:1,,b", "ftp://x"}) {
    EXPECT_EQ(parse_managers(bad).error().code, Code::kInvalid) << bad;
  }
}

}  // namespace
}  // namespace skep::client
