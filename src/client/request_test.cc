// SPDX-License-Identifier: Apache-2.0
// What goes over the wire for a call's arguments, and what is made of each kind of answer.
#include "client/request.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "api/errors.h"
#include "api/json.h"

namespace skep::client {
namespace {

using api::Endpoint;

http::Response response(int status, std::string_view type, std::string body) {
  return http::Response::text(status, type, std::move(body));
}

std::string header(const http::ClientRequest& request, std::string_view name) {
  const auto* value = request.headers.find(name);
  return value == nullptr ? "" : *value;
}

TEST(Request, PathAndQueryAreEncoded) {
  const auto request =
      make_request(Endpoint::kGetTask, {"a/b?", {{"wait", "30s"}, {"x y", "&="}}}, Encoding::kJson);
  EXPECT_EQ(request.method, http::Method::kGet);
  EXPECT_EQ(request.target, "/v1/tasks/a%2Fb%3F?wait=30s&x%20y=%26%3D");
  EXPECT_EQ(header(request, "accept"), "application/json");
  EXPECT_EQ(make_request(Endpoint::kRetryTask, {"id7", {}}, Encoding::kProtobuf).target,
            "/v1/tasks/id7:retry");
}

TEST(Request, EveryEndpointHasARequest) {
  for (const auto& row : api::endpoints()) {
    const auto request = make_request(row.endpoint, {"v", {}}, Encoding::kProtobuf);
    EXPECT_EQ(http::method_name(request.method), row.method);
    EXPECT_EQ(request.target.find('{'), std::string::npos);
  }
}

TEST(Request, MessageIsEncodedAsAsked) {
  api::v1::AckRequest message;
  message.set_receipt("r");
  http::ClientRequest json;
  set_message(message, Encoding::kJson, json);
  EXPECT_EQ(*json.body, R"({"receipt":"r"})") << "a manager that does not know put_back refuses it";
  EXPECT_EQ(header(json, "content-type"), "application/json");
  http::ClientRequest binary;
  set_message(message, Encoding::kProtobuf, binary);
  EXPECT_EQ(*binary.body, message.SerializeAsString());
  EXPECT_EQ(header(binary, "content-type"), "application/x-protobuf");
}

TEST(Request, EnqueueNamesOnlyWhatIsSet) {
  api::v1::TaskOptions options;
  options.set_iterations(7);
  const auto plain = make_enqueue(options, nullptr, Encoding::kProtobuf);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain.value().target, "/v1/tasks?iterations=7");
  EXPECT_EQ(plain.value().headers.find("idempotency-key"), nullptr);

  options.set_checkpoint(false);
  EXPECT_EQ(make_enqueue(options, nullptr, Encoding::kProtobuf).value().target,
            "/v1/tasks?iterations=7&checkpoint=false");
  options.clear_checkpoint();

  options.set_queue("q");
  options.set_kind("command");
  options.set_program("p");
  options.set_priority(0);
  options.set_max_attempts(3);
  options.set_delay_ms(1'500);
  options.set_start_deadline_ms(2);
  options.set_timeout_ms(60'000);
  options.set_idempotency_key("key-1");
  options.add_tags("a");
  options.add_tags("b:c");
  const auto body = std::make_shared<const std::string>("bytes");
  const auto full = make_enqueue(options, body, Encoding::kProtobuf);
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full.value().target,
            "/v1/tasks?queue=q&kind=command&iterations=7&program=p&priority=0&max_attempts=3&delay=1500ms"
            "&start_deadline=2ms&timeout=60000ms&tag=a&tag=" +
                http::percent_encode("b:c"));
  EXPECT_EQ(header(full.value(), "idempotency-key"), "key-1");
  EXPECT_EQ(full.value().body, body);
}

TEST(Request, KeyThatWouldBreakTheHeaderIsRefused) {
  for (const auto* key : {"a\r\nX: y", "two words", "caf\xc3\xa9"}) {
    api::v1::TaskOptions options;
    options.set_idempotency_key(key);
    const auto request = make_enqueue(options, nullptr, Encoding::kProtobuf);
    ASSERT_FALSE(request.has_value());
    EXPECT_EQ(request.error().code, Code::kInvalid);
  }
}

TEST(Answer, StatusTellsSuccessAndProblemTellsTheError) {
  EXPECT_TRUE(check_status(response(200, "text/plain", "")).has_value());
  EXPECT_TRUE(check_status(response(201, "text/plain", "")).has_value());
  const Error error = fail(Code::kStaleLease, "the lease is over");
  const auto problem = check_status(response(409, api::kProblemJson, api::problem_json(error)));
  ASSERT_FALSE(problem.has_value());
  EXPECT_EQ(problem.error(), error);
  EXPECT_EQ(check_status(response(302, "text/html", "")).error().code, Code::kInternal);
  EXPECT_EQ(check_status(response(503, "text/html", "<p>")).error().code, Code::kUnavailable);
}

TEST(Answer, RetryAfterIsReadInWholeSeconds) {
  auto answer = response(503, "text/plain", "");
  EXPECT_EQ(retry_after(answer), std::nullopt);
  answer.headers.set("Retry-After", "12");
  EXPECT_EQ(retry_after(answer), seconds(12));
  for (const auto* text : {"", "soon", "-1", "1.5", "99999999999", "Wed, 21 Oct 2026 07:28:00 GMT"}) {
    answer.headers.set("Retry-After", text);
    EXPECT_EQ(retry_after(answer), std::nullopt) << text;
  }
}

TEST(Answer, MessageIsReadInEitherEncoding) {
  api::v1::AckReply message;
  message.set_acknowledged(4);
  api::v1::AckReply read;
  EXPECT_TRUE(read_message(response(200, api::kProtobuf, message.SerializeAsString()), read).has_value());
  EXPECT_EQ(read.acknowledged(), 4u);
  EXPECT_TRUE(read_message(response(200, "application/json; charset=utf-8", api::to_json(message)), read)
                  .has_value());
  EXPECT_EQ(read.acknowledged(), 4u);
}

TEST(Answer, WhatIsNoMessageIsAnInternalError) {
  api::v1::AckReply read;
  for (const auto& answer : {response(200, "text/html", "<p>hello"), response(200, api::kJson, "{\"x\":1}"),
                             response(200, api::kProtobuf, "\xff\xff"), http::Response{}}) {
    const auto result = read_message(answer, read);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::kInternal);
  }
}

TEST(Answer, PullCompletedIsReadWithAndWithoutIds) {
  const auto both = read_pull_completed(
      response(200, api::kJson, R"({"results":["aa"],"items":[{"id":"7","result":"aa"}]})"));
  ASSERT_TRUE(both.has_value());
  ASSERT_EQ(both.value().size(), 1u);
  EXPECT_EQ(both.value()[0].id, "7");
  EXPECT_EQ(both.value()[0].result, "aa");
  const auto plain = read_pull_completed(response(200, api::kJson, R"({"results":["aa","bb"]})"));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain.value()[1].result, "bb");
  for (const auto* text :
       {"", "[]", "{}", R"({"items":[1]})", R"({"items":[{"id":1,"result":"a"}]})", R"({"results":[1]})"}) {
    EXPECT_FALSE(read_pull_completed(response(200, api::kJson, text)).has_value()) << text;
  }
}

RC_GTEST_PROP(Answer, AnyBytesAreReadOrRefused, (const std::string& bytes)) {
  api::v1::AcquireReply message;
  (void)read_message(response(200, api::kProtobuf, bytes), message).has_value();
  (void)read_message(response(200, api::kJson, bytes), message).has_value();
  (void)read_pull_completed(response(200, api::kJson, bytes)).has_value();
}

}  // namespace
}  // namespace skep::client
