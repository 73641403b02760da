// SPDX-License-Identifier: Apache-2.0
// Goal: the API over HTTP refuses what its table does not list and speaks both encodings. Method: a manager
// over the memory store on a free loopback port, asked by the project's own HTTP client.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "api/endpoints.h"
#include "api/json.h"
#include "api/skep.pb.h"
#include "base/clock.h"
#include "http/client.h"
#include "manager/manager.h"
#include "manager/routes.h"
#include "store/memory_store.h"

namespace skep::manager {
namespace {

class RoutesTest : public ::testing::Test {
 protected:
  RoutesTest() {
    ManagerOptions options;
    options.http.listen = "127.0.0.1:0";
    auto started = Manager::start(
        options, store, clock, [](Executor&, const WorkerAccess&) { return nullptr; }, Logger());
    EXPECT_TRUE(started.has_value()) << started.error().message;
    manager = std::move(started.value());
    url = http::parse_url(manager->address()).value();
  }

  http::Response send(http::Method method, const std::string& target, const std::string& body = "",
                      std::vector<std::pair<std::string, std::string>> headers = {}) {
    http::ClientRequest request;
    request.method = method;
    request.target = target;
    request.body = std::make_shared<const std::string>(body);
    for (auto& [name, value] : headers) request.headers.add(name, value);
    auto response = client.send_wait(url, std::move(request), clock.now() + seconds(30));
    EXPECT_TRUE(response.has_value()) << target << ": " << response.error().message;
    return response.has_value() ? response.value() : http::Response{};
  }
  static std::string text(const http::Response& response) {
    return response.body ? *response.body : std::string();
  }

  void expect_problem(const http::Response& response, int status, const std::string& part) {
    EXPECT_EQ(response.status, status) << text(response);
    const auto* type = response.headers.find("Content-Type");
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(*type, "application/problem+json");
    EXPECT_NE(text(response).find(part), std::string::npos) << text(response);
  }

  SystemClock clock;
  store::MemoryStore store;
  http::Client client{clock, {}};
  std::unique_ptr<Manager> manager;
  http::Url url;
};

using M = http::Method;

TEST_F(RoutesTest, SeedEnqueueAnswersAsTheSeedDoes) {
  const auto response =
      send(M::kPut, "/enqueue?iterations=3", "body", {{"Content-Type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(response.status, 200);
  const auto json = boost::json::parse(text(response));
  EXPECT_EQ(json.at("status").as_string(), "success");
  EXPECT_EQ(json.at("id").as_string().size(), 20u);
  for (const char* bad :
       {"/enqueue", "/enqueue?iterations=0", "/enqueue?iterations=-1", "/enqueue?iterations=abc",
        "/enqueue?iterations=", "/enqueue?iterations=1.5", "/enqueue?iterations=99999999999999999999"}) {
    expect_problem(send(M::kPut, bad, "body"), 400, "iterations");
  }
}

TEST_F(RoutesTest, SeedWorkerGetsBodyAndIterationsAndPushesItsResult) {
  EXPECT_EQ(send(M::kGet, "/getwork").status, 204);
  send(M::kPut, "/enqueue?iterations=7", "the body");
  const auto work = send(M::kGet, "/getwork");
  EXPECT_EQ(work.status, 200);
  EXPECT_EQ(text(work), "the body");
  ASSERT_NE(work.headers.find("X-Iterations"), nullptr);
  EXPECT_EQ(*work.headers.find("X-Iterations"), "7");
  expect_problem(send(M::kPost, "/pushResult", "{\"result\":\"xyz\"}"), 400, "128 hexadecimal digits");
  expect_problem(send(M::kPost, "/pushResult", "not json"), 400, "JSON");
  const std::string hex(128, 'a');
  EXPECT_EQ(send(M::kPost, "/pushResult", "{\"result\":\"" + hex + "\"}").status, 200);
  const auto pulled = boost::json::parse(text(send(M::kPost, "/pullCompleted?top=5")));
  ASSERT_EQ(pulled.at("results").as_array().size(), 1u);
  EXPECT_EQ(pulled.at("results").at(0).as_string(), hex);
  EXPECT_EQ(pulled.at("items").at(0).at("result").as_string(), hex);
  EXPECT_EQ(boost::json::parse(text(send(M::kPost, "/pullCompleted?top=5"))).at("results").as_array().size(),
            0u);
}

TEST_F(RoutesTest, SeedSiblingsAreListedOnce) {
  EXPECT_EQ(text(send(M::kPost, "/register_sibling?sibling=10.0.0.2:81")), "ok");
  EXPECT_EQ(text(send(M::kPost, "/register_sibling?sibling=10.0.0.2:81")), "ok");
  EXPECT_EQ(text(send(M::kPost, "/register_sibling?sibling=" + manager->address())), "ok");
  const auto managers = boost::json::parse(text(send(M::kGet, "/get_managers"))).at("managers").as_array();
  ASSERT_EQ(managers.size(), 2u);
  EXPECT_EQ(managers[0].as_string(), manager->address());
  EXPECT_EQ(managers[1].as_string(), "10.0.0.2:81");
}

TEST_F(RoutesTest, PagesOfOtherSitesAreRefused) {
  expect_problem(send(M::kPut, "/enqueue?iterations=3", "x", {{"Origin", "https://evil.example"}}), 403,
                 "a page of another site");
  EXPECT_EQ(boost::json::parse(text(send(M::kGet, "/v1/tasks"))).at("tasks").as_array().size(), 0u);
  EXPECT_EQ(send(M::kPut, "/enqueue?iterations=3", "x", {{"Origin", "http://" + manager->address()}}).status,
            200);
}

TEST_F(RoutesTest, WhatTheTableDoesNotListIsRefused) {
  expect_problem(send(M::kGet, "/nothing"), 404, "/nothing");
  const auto wrong_method = send(M::kDelete, "/enqueue");
  expect_problem(wrong_method, 405, "takes only");
  EXPECT_NE(wrong_method.headers.find("Allow"), nullptr);
  expect_problem(send(M::kGet, "/v1/cluster?verbose=1"), 400, "'verbose' is unknown");
  expect_problem(send(M::kPost, "/v1/tasks?iterations=1&prioritty=3", "x"), 400, "prioritty");
  expect_problem(send(M::kGet, "/v1/tasks/not-an-id"), 400, "not a task id");
  expect_problem(send(M::kGet, "/v1/tasks/00000g000000000000zz"), 404, "there is no task");
  expect_problem(send(M::kPost, "/v1/tasks:batch", "{\"tasks\":[{\"optionz\":{}}]}",
                      {{"Content-Type", "application/json"}}),
                 400, "optionz");
  expect_problem(send(M::kPost, "/v1/tasks:batch", "{}", {{"Content-Type", "application/json"}}), 400,
                 "from 1 to 1000");
  expect_problem(send(M::kPost, "/v1/tasks:batch", "\xff\xff", {{"Content-Type", "application/x-protobuf"}}),
                 400, "protobuf");
  expect_problem(send(M::kPost, "/v1/tasks?iterations=1", std::string((1 << 20) + 1, 'x')), 413, "1.0 MiB");
}

TEST_F(RoutesTest, MetricsTellWhatWasRefusedWithoutALabelForEachPath) {
  for (const char* path : {"/nothing", "/else", "/v1/nothing"}) EXPECT_EQ(send(M::kGet, path).status, 404);
  EXPECT_EQ(send(M::kDelete, "/enqueue").status, 405);
  const std::string metrics = text(send(M::kGet, "/metrics"));
  const std::string unknown = "skep_http_requests_total{code=\"404\",method=\"any\",route=\"unknown\"} 3";
  EXPECT_NE(metrics.find(unknown), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("{code=\"405\",method=\"any\",route=\"unknown\"} 1"), std::string::npos) << metrics;
}

TEST_F(RoutesTest, OptionsOfATaskComeFromTheQuery) {
  const auto reply = send(M::kPost,
                          "/v1/"
                          "tasks?iterations=5&queue=q&priority=9&max_attempts=2&delay=1h&start_deadline=2h&"
                          "timeout=3m&tag=a&tag=b",
                          "body", {{"Idempotency-Key", "key"}});
  EXPECT_EQ(reply.status, 200) << text(reply);
  api::v1::EnqueueReply enqueued;
  ASSERT_TRUE(api::from_json(text(reply), enqueued).has_value());
  EXPECT_EQ(enqueued.state(), "delayed");
  api::v1::Task task;
  ASSERT_TRUE(api::from_json(text(send(M::kGet, "/v1/tasks/" + enqueued.id())), task).has_value());
  EXPECT_EQ(task.options().queue(), "q");
  EXPECT_EQ(task.options().priority(), 9u);
  EXPECT_EQ(task.options().max_attempts(), 2u);
  EXPECT_EQ(task.options().delay_ms(), 3'600'000u);
  EXPECT_EQ(task.options().timeout_ms(), 180'000u);
  EXPECT_EQ(task.options().idempotency_key(), "key");
  EXPECT_EQ(task.options().tags_size(), 2);
  api::v1::EnqueueReply again;
  ASSERT_TRUE(
      api::from_json(
          text(send(M::kPost, "/v1/tasks?iterations=5&queue=q", "body", {{"Idempotency-Key", "key"}})), again)
          .has_value());
  EXPECT_EQ(again.id(), enqueued.id());
  EXPECT_TRUE(again.existing());
}

constexpr const char* kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr const char* kOtherTrace = "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

TEST_F(RoutesTest, ATraceGoesFromTheRequestToTheTaskAndItsLease) {
  const std::vector<std::pair<std::string, std::string>> headers{
      {"TraceParent", kTrace}, {"tracestate", "a=1"}, {"tracestate", "b=2"}};
  const auto options_of = [&](const std::string& id) {
    api::v1::Task task;
    EXPECT_TRUE(api::from_json(text(send(M::kGet, "/v1/tasks/" + id)), task).has_value());
    return task.options();
  };
  const auto id_of = [&](const http::Response& reply) {
    EXPECT_EQ(reply.status, 200) << text(reply);
    return std::string(boost::json::parse(text(reply)).at("id").as_string());
  };
  const std::string seed = id_of(send(M::kPut, "/enqueue?iterations=1", "x", headers));
  const std::string one = id_of(send(M::kPost, "/v1/tasks?iterations=1", "x", headers));
  for (const auto& id : {seed, one}) {
    EXPECT_EQ(options_of(id).traceparent(), kTrace);
    EXPECT_EQ(options_of(id).tracestate(), "a=1,b=2");
  }
  auto batch_headers = headers;
  batch_headers.emplace_back("Content-Type", "application/json");
  const auto batch =
      send(M::kPost, "/v1/tasks:batch",
           R"({"tasks":[{"options":{"iterations":1}},)"
           R"({"options":{"iterations":1,"traceparent":")" +
               std::string(kOtherTrace) +
               R"("}},{"options":{"iterations":1,"traceparent":"broken","tracestate":"c=3"}}]})",
           batch_headers);
  ASSERT_EQ(batch.status, 200) << text(batch);
  const auto tasks = boost::json::parse(text(batch)).at("tasks").as_array();
  const auto nth = [&](std::size_t i) { return options_of(std::string(tasks.at(i).at("id").as_string())); };
  EXPECT_EQ(nth(0).traceparent(), kTrace);
  EXPECT_EQ(nth(0).tracestate(), "a=1,b=2");
  EXPECT_EQ(nth(1).traceparent(), kOtherTrace);
  EXPECT_EQ(nth(1).tracestate(), "");
  EXPECT_EQ(nth(2).traceparent(), kTrace) << "one that is invalid counts as not given";
  const auto post = [&](const std::string& path, const std::string& body) {
    return boost::json::parse(text(send(M::kPost, path, body, {{"Content-Type", "application/json"}})));
  };
  const std::string worker(
      post("/v1/workers", R"({"name":"w","slots":1,"kinds":["sha512"]})").at("worker").as_string());
  const auto leases = post("/v1/leases:acquire", R"({"worker":")" + worker + R"(","max":1})").at("leases");
  EXPECT_EQ(leases.at(0).at("traceparent").as_string(), kTrace);
  EXPECT_EQ(leases.at(0).at("tracestate").as_string(), "a=1,b=2");
}

TEST_F(RoutesTest, AnInvalidTraceIsNoneAndNoError) {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  for (const Headers& headers :
       {Headers{{"traceparent", "00-broken"}, {"tracestate", "a=1"}}, Headers{{"tracestate", "a=1"}},
        Headers{{"traceparent", kTrace}, {"traceparent", kTrace}}}) {
    const auto reply = send(M::kPost, "/v1/tasks?iterations=1", "x", headers);
    ASSERT_EQ(reply.status, 200) << text(reply);
    const std::string id(boost::json::parse(text(reply)).at("id").as_string());
    const auto options = boost::json::parse(text(send(M::kGet, "/v1/tasks/" + id))).at("options").as_object();
    EXPECT_EQ(options.at("traceparent").as_string(), "");
    EXPECT_EQ(options.at("tracestate").as_string(), "");
  }
}

TEST_F(RoutesTest, CheckpointOfATaskIsTrueOrFalse) {
  const auto enqueue = [&](const std::string& query) { return send(M::kPost, "/v1/tasks?" + query, "x"); };
  for (const auto& [query, is_kept] : {std::pair("iterations=5", true),
                                       {"iterations=5&checkpoint=true", true},
                                       {"iterations=5&checkpoint=false", false}}) {
    api::v1::EnqueueReply reply;
    ASSERT_TRUE(api::from_json(text(enqueue(query)), reply).has_value());
    api::v1::Task task;
    ASSERT_TRUE(api::from_json(text(send(M::kGet, "/v1/tasks/" + reply.id())), task).has_value());
    EXPECT_EQ(task.options().checkpoint(), is_kept) << query;
  }
  expect_problem(enqueue("iterations=5&checkpoint=no"), 400, "use true or false");
  expect_problem(enqueue("kind=command&program=p&checkpoint=false"), 400, "only for tasks of kind 'sha512'");
}

// A digest is no text, so that in JSON it is base64 both ways.
TEST_F(RoutesTest, ACheckpointGoesThroughJsonToTheNextLease) {
  send(M::kPut, "/enqueue?iterations=1000", "x");
  const auto post = [&](const std::string& path, const std::string& body) {
    const auto response = send(M::kPost, path, body, {{"Content-Type", "application/json"}});
    EXPECT_EQ(response.status, 200) << text(response);
    return boost::json::parse(text(response));
  };
  const std::string worker(
      post("/v1/workers", R"({"name":"w","slots":1,"kinds":["sha512"]})").at("worker").as_string());
  const auto acquire = [&] {
    return post("/v1/leases:acquire", R"({"worker":")" + worker + R"(","max":1})").at("leases").at(0);
  };
  const auto first = acquire();
  EXPECT_TRUE(first.at("keep_checkpoints").as_bool());
  const std::string encoded = std::string(84, '/') + "/w==";  // 64 bytes of ff
  post("/v1/leases:release",
       R"({"worker":")" + worker + R"(","leases":[{"lease":")" + std::string(first.at("lease").as_string()) +
           R"(","started":true,"iterations_done":400,"checkpoint_base64":")" + encoded + "\"}]}");
  const auto second = acquire();
  EXPECT_EQ(second.at("iterations_done").to_number<int>(), 400);
  EXPECT_EQ(second.at("checkpoint_base64").as_string(), encoded);
  const std::string metrics = text(send(M::kGet, "/metrics"));
  EXPECT_NE(metrics.find("skep_checkpoints_total 1"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("skep_checkpoints_refused_total 0"), std::string::npos) << metrics;
}

TEST_F(RoutesTest, BothEncodingsSaySame) {
  send(M::kPut, "/enqueue?iterations=1", "x");
  api::v1::ClusterReply json;
  api::v1::ClusterReply binary;
  ASSERT_TRUE(api::from_json(text(send(M::kGet, "/v1/cluster")), json).has_value());
  const auto response = send(M::kGet, "/v1/cluster", "", {{"Accept", "application/x-protobuf"}});
  EXPECT_EQ(*response.headers.find("Content-Type"), "application/x-protobuf");
  ASSERT_TRUE(binary.ParseFromString(text(response)));
  EXPECT_EQ(json.tasks().queued(), 1u);
  EXPECT_EQ(binary.tasks().queued(), 1u);
}

TEST_F(RoutesTest, ResultIsServedAsBytesOnceItIsThere) {
  const auto id =
      std::string(boost::json::parse(text(send(M::kPut, "/enqueue?iterations=1", "x"))).at("id").as_string());
  expect_problem(send(M::kGet, "/v1/tasks/" + id + "/result"), 409, "queued");
  send(M::kGet, "/getwork");
  send(M::kPost, "/pushResult", "{\"result\":\"" + std::string(128, 'A') + "\"}");
  const auto result = send(M::kGet, "/v1/tasks/" + id + "/result");
  EXPECT_EQ(result.status, 200);
  EXPECT_EQ(text(result), std::string(128, 'a'));
}

TEST_F(RoutesTest, HealthReadinessMetricsAndOpenApiAnswer) {
  EXPECT_EQ(text(send(M::kGet, "/healthz")), "ok\n");
  EXPECT_EQ(text(send(M::kGet, "/readyz")), "ready\n");
  EXPECT_NE(text(send(M::kGet, "/metrics")).find("skep_tasks{state=\"queued\"}"), std::string::npos);
  EXPECT_NE(text(send(M::kGet, "/openapi.json")).find("\"3.1"), std::string::npos);
  EXPECT_EQ(send(M::kGet, "/").status, 200);
}

TEST_F(RoutesTest, RootIsThePageOfTheProgramOrLinks) {
  EXPECT_NE(text(send(M::kGet, "/")).find("/openapi.json"), std::string::npos);
  http::Document page{"text/html", std::make_shared<const std::string>("the page"), nullptr, "tag", {}};
  ManagerOptions options;
  options.http.listen = "127.0.0.1:0";
  options.page = std::make_shared<const http::Document>(std::move(page));
  store::MemoryStore other;
  auto with_page = Manager::start(
      options, other, clock, [](Executor&, const WorkerAccess&) { return nullptr; }, Logger());
  ASSERT_TRUE(with_page) << with_page.error().message;
  url = http::parse_url(with_page.value()->address()).value();
  EXPECT_EQ(text(send(M::kGet, "/")), "the page");
  EXPECT_EQ(send(M::kGet, "/", "", {{"If-None-Match", "\"tag\""}}).status, 304);
}

TEST_F(RoutesTest, KindsOfEventsThatThereAreNotAreRefused) {
  expect_problem(send(M::kGet, "/v1/events?kind=worker&kind=weather"), 400, "'weather'");
}

TEST_F(RoutesTest, WorkerThatNobodyKnowsIsNotFound) {
  expect_problem(send(M::kGet, "/v1/workers/w9"), 404, "there is no worker 'w9'");
}

TEST_F(RoutesTest, AddressOfOthersNeedsInsecure) {
  ManagerOptions options;
  options.http.listen = "0.0.0.0:0";
  store::MemoryStore other;
  const auto refused = Manager::start(
      options, other, clock, [](Executor&, const WorkerAccess&) { return nullptr; }, Logger());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_NE(refused.error().message.find("--insecure"), std::string::npos);
  options.is_insecure = true;
  EXPECT_TRUE(Manager::start(
                  options, other, clock, [](Executor&, const WorkerAccess&) { return nullptr; }, Logger())
                  .has_value());
}

TEST_F(RoutesTest, DrainedManagerStopsAndKeepsNothingWaiting) {
  manager->drain(seconds(2));
  http::ClientRequest request;
  request.target = "/healthz";
  EXPECT_FALSE(client.send_wait(url, std::move(request), clock.now() + seconds(5)).has_value());
}

// What the server answers by itself is the client's mistake or the server's, never both.
TEST(Problems, OnlyOurOwnFailureIsInternal) {
  for (const int status : {400, 404, 405, 408, 413, 414, 417, 431, 501, 503, 505}) {
    const auto response = Routes::problem(status, "why");
    EXPECT_EQ(response.body->find("\"internal\""), std::string::npos) << status;
  }
}

// docs/protocol.md is what strangers implement from: it names every endpoint.
TEST(ProtocolDocument, NamesEveryEndpoint) {
  std::ifstream file(SKEP_SOURCE_DIR "/docs/protocol.md");
  std::stringstream content;
  content << file.rdbuf();
  for (const auto& row : api::endpoints()) {
    const std::string line = std::string(row.method) + " " + std::string(row.path);
    EXPECT_NE(content.str().find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace skep::manager
