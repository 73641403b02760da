// SPDX-License-Identifier: Apache-2.0
// What the client makes of good answers, bad answers and none: against the real server where that is enough,
// against a scripted peer where the wire must misbehave.
#include "http/client.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/runner.h"
#include "http/testing/echo_server.h"
#include "http/testing/scripted_server.h"

namespace skep::http {
namespace {

using testing::EchoServer;
using testing::plain;
using testing::RawConnection;
using testing::ScriptedServer;

class ClientTest : public ::testing::Test {
 protected:
  static Url url(int port) { return {"127.0.0.1", port, ""}; }

  static ClientRequest request(Method method, std::string target, std::string body = "") {
    ClientRequest request;
    request.method = method;
    request.target = std::move(target);
    request.body = std::make_shared<const std::string>(std::move(body));
    return request;
  }

  Result<Response> get(int port, std::string target = "/") {
    return client_.send_wait(url(port), request(Method::kGet, std::move(target)), in(seconds(10)));
  }

  Instant in(Duration duration) const { return clock_.now() + duration; }

  SystemClock clock_;
  Client client_{clock_, ClientOptions{}};
};

TEST_F(ClientTest, GetsAnAnswerWithItsHeadersAndBody) {
  const EchoServer server;
  const Response response =
      client_.send_wait(url(server.port()), request(Method::kPost, "/a?b=c", "body"), in(seconds(10)))
          .value();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(*response.headers.find("content-type"), "text/plain");
  EXPECT_EQ(*response.body, "POST /a b=c [body]");
}

TEST_F(ClientTest, PutsTheBasePathOfTheUrlBeforeTheTarget) {
  const EchoServer server;
  Url with_path = url(server.port());
  with_path.base_path = "/prefix";
  EXPECT_EQ(*client_.send_wait(with_path, request(Method::kGet, "/x"), kNever).value().body,
            "GET /prefix/x []");
}

TEST_F(ClientTest, SendsHostAgentLengthAndTheHeadersGiven) {
  std::string head;
  ScriptedServer server([&head](ScriptedServer& self) {
    RawConnection connection(self.accept());
    head = connection.read_until("\r\n\r\n");
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
  });
  ClientRequest put = request(Method::kPut, "/x");
  put.headers.set("X-A", "1\r\nEvil: 2");
  put.headers.set("Content-Length", "77");
  EXPECT_EQ(client_.send_wait(url(server.port()), std::move(put), in(seconds(10))).value().status, 204);
  server.finish();
  EXPECT_EQ(head, "PUT /x HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                      "\r\nUser-Agent: skep/" + SKEP_VERSION +
                      "\r\nX-A: 1  Evil: 2\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(ClientTest, ReusesItsConnection) {
  const EchoServer server;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get(server.port()).value().status, 200);
  EXPECT_EQ(server.server->stats().connections, 1u);
}

TEST_F(ClientTest, SendsAndReceivesBigBodies) {
  ServerOptions options;
  options.body_bytes_max = 32 << 20;
  const EchoServer server(options);
  std::string body;
  for (std::size_t i = 0; i < (20u << 20); ++i) body += static_cast<char>('a' + i % 23);
  const Response response =
      client_.send_wait(url(server.port()), request(Method::kPost, "/", body), in(minutes(1))).value();
  EXPECT_TRUE(*response.body == "POST / [" + body + "]");
}

TEST_F(ClientTest, RunsManyRequestsAtOnceAndRepliesOnTheExecutor) {
  ServerOptions options;
  options.threads = 2;
  const EchoServer server(options);
  Runner runner(clock_, "reply");
  constexpr int kRequests = 200;
  std::promise<void> all;
  int replies = 0;  // of the runner's thread alone
  for (int i = 0; i < kRequests; ++i) {
    const std::string path = "/" + std::to_string(i);
    client_.send(url(server.port()), request(Method::kGet, path), in(seconds(30)), runner,
                 [&, path](Result<Response> result) {
                   EXPECT_EQ(*result.value().body, "GET " + path + " []");
                   if (++replies == kRequests) all.set_value();
                 });
  }
  all.get_future().wait();
}

TEST_F(ClientTest, ErrorStatusIsAnAnswer) {
  const EchoServer server;
  EXPECT_EQ(get(server.port(), "/drop").value().status, 500);
}

TEST_F(ClientTest, HeadHasNoBody) {
  const EchoServer server;
  const Response head =
      client_.send_wait(url(server.port()), request(Method::kHead, "/x"), in(seconds(10))).value();
  EXPECT_NE(*head.headers.find("content-length"), "0");
  EXPECT_TRUE(head.body->empty());
  EXPECT_EQ(get(server.port()).value().status, 200);
  EXPECT_EQ(server.server->stats().connections, 1u);
}

// The client's view of one answer sent byte for byte; the peer closes after it.
Result<Response> answer_of(Client& client, const std::string& bytes, Instant deadline,
                           Method method = Method::kGet) {
  ScriptedServer server([&bytes](ScriptedServer& self) {
    RawConnection connection(self.accept());
    connection.read_until("\r\n\r\n");
    connection.send(bytes);
  });
  ClientRequest request;
  request.method = method;
  request.target = "/";
  return client.send_wait({"127.0.0.1", server.port(), ""}, std::move(request), deadline);
}

TEST_F(ClientTest, TakesEveryFramingOfAnAnswer) {
  const Instant soon = in(seconds(10));
  const auto body_of = [&](const std::string& bytes) {
    return *answer_of(client_, bytes, soon).value().body;
  };
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "abc");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\n\r\nuntil the end"), "until the end");
  EXPECT_EQ(body_of("HTTP/1.0 200 OK\r\n\r\n"), "");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            "abc");
  EXPECT_EQ(
      body_of(
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
      "a");
  EXPECT_EQ(body_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), "");
}

TEST_F(ClientTest, BrokenAnswersAreAnUnknownOutcome) {
  for (const char* bytes :
       {"", "HTTP/1.1 200 OK\r\n", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    EXPECT_EQ(answer_of(client_, bytes, in(seconds(10))).error().code, Code::kUnknownOutcome) << bytes;
  }
  EXPECT_EQ(
      answer_of(client_, "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'x'), in(seconds(10))).error().code,
      Code::kUnknownOutcome);
}

TEST_F(ClientTest, AnswerOverTheLimitIsRefused) {
  ClientOptions options;
  options.body_bytes_max = 10;
  Client client(clock_, options);
  const auto error_of = [&](const std::string& bytes) {
    return answer_of(client, bytes, in(seconds(10))).error();
  };
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n").code, Code::kUnknownOutcome);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\n\r\n01234567890").code, Code::kUnknownOutcome);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n").code,
            Code::kUnknownOutcome);
  EXPECT_EQ(answer_of(client, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", in(seconds(10)))
                .value()
                .status,
            200);
}

TEST_F(ClientTest, NobodyThereIsUnavailable) {
  int port = 0;
  { port = EchoServer().port(); }
  const Error error = get(port).error();
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_EQ(error.message, "cannot connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
}

TEST_F(ClientTest, UnknownHostIsUnavailable) {
  const Result<Response> result =
      client_.send_wait({"name.invalid", 80, ""}, request(Method::kGet, "/"), in(minutes(1)));
  EXPECT_EQ(result.error().code, Code::kUnavailable);
}

TEST_F(ClientTest, MalformedTargetIsInvalid) {
  for (const char* target : {"", "x", "/a b", "/a\r\nX: 1", "/a\n"}) {
    const Result<Response> result = client_.send_wait(url(1), request(Method::kGet, target), in(seconds(1)));
    EXPECT_EQ(result.error().code, Code::kInvalid) << target;
  }
}

TEST_F(ClientTest, DeadlineBeforeSendingIsATimeout) {
  const EchoServer server;
  const Result<Response> result =
      client_.send_wait(url(server.port()), request(Method::kGet, "/"), in(milliseconds(-1)));
  EXPECT_EQ(result.error().code, Code::kTimeout);
  EXPECT_EQ(server.server->stats().requests, 0u);
}

TEST_F(ClientTest, DeadlineWhileTheBodyIsNotSentWholeIsATimeout) {
  std::promise<void> over;
  ScriptedServer server([&over](ScriptedServer& self) {
    const RawConnection connection(self.accept());  // reads nothing
    over.get_future().wait();
  });
  ClientRequest big = request(Method::kPost, "/", std::string(64 << 20, 'x'));
  const Result<Response> result =
      client_.send_wait(url(server.port()), std::move(big), in(milliseconds(100)));
  over.set_value();
  EXPECT_EQ(result.error().code, Code::kTimeout);
}

TEST_F(ClientTest, DeadlineAfterSendingIsAnUnknownOutcome) {
  EchoServer server;
  const Result<Response> result =
      client_.send_wait(url(server.port()), request(Method::kGet, "/hold"), in(milliseconds(50)));
  EXPECT_EQ(result.error().code, Code::kUnknownOutcome);
  // That connection must not be used again: an answer may still come.
  server.held.take().send(plain("late"));
  EXPECT_EQ(*get(server.port(), "/x").value().body, "GET /x []");
}

TEST_F(ClientTest, ConnectionLostAfterSendingIsAnUnknownOutcomeAndIsNotRetried) {
  int requests = 0;
  ScriptedServer server([&requests](ScriptedServer& self) {
    RawConnection connection(self.accept());
    connection.read_until("\r\n\r\n");
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    connection.read_until("\r\n\r\n");
    requests = 2;
    connection.reset();
  });
  EXPECT_EQ(get(server.port()).value().status, 200);
  EXPECT_EQ(get(server.port()).error().code, Code::kUnknownOutcome);
  server.finish();
  EXPECT_EQ(requests, 2);
}

TEST_F(ClientTest, IdleConnectionThatTheServerClosedIsReplaced) {
  std::promise<void> has_closed;
  ScriptedServer server([&has_closed](ScriptedServer& self) {
    {
      RawConnection first(self.accept());
      first.read_until("\r\n\r\n");
      first.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    has_closed.set_value();
    RawConnection second(self.accept());
    second.read_until("\r\n\r\n");
    second.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_EQ(get(server.port()).value().status, 200);
  has_closed.get_future().wait();
  EXPECT_EQ(client_.send_wait(url(server.port()), request(Method::kPost, "/", "once"), in(seconds(10)))
                .value()
                .status,
            201);
}

TEST_F(ClientTest, AnswerBeforeTheWholeBodyWasSentIsTaken) {
  ServerOptions options;
  options.body_bytes_max = 100;
  const EchoServer server(options);
  const Result<Response> result = client_.send_wait(
      url(server.port()), request(Method::kPost, "/", std::string(64 << 20, 'x')), in(seconds(30)));
  EXPECT_EQ(result.value().status, 413);
}

TEST_F(ClientTest, PeerThatLeavesInTheMiddleOfTheBodyIsUnavailable) {
  ScriptedServer server([](ScriptedServer& self) {
    RawConnection connection(self.accept());
    connection.read_until("\r\n\r\n");
    connection.reset();
  });
  const Result<Response> result = client_.send_wait(
      url(server.port()), request(Method::kPost, "/", std::string(64 << 20, 'x')), in(seconds(30)));
  EXPECT_EQ(result.error().code, Code::kUnavailable);
}

TEST_F(ClientTest, DestructorFailsWhatIsUnderWay) {
  EchoServer server;
  Runner runner(clock_, "reply");
  auto client = std::make_unique<Client>(clock_, ClientOptions{});
  std::promise<Result<Response>> result;
  client->send(url(server.port()), request(Method::kGet, "/hold"), kNever, runner,
               [&result](Result<Response> r) { result.set_value(std::move(r)); });
  const Responder held = server.held.take();
  client = nullptr;
  EXPECT_EQ(result.get_future().get().error().code, Code::kUnavailable);
}

TEST_F(ClientTest, IdleConnectionsAreClosedWhenTheyAreOld) {
  const EchoServer server;
  ClientOptions options;
  options.idle_timeout = milliseconds(20);
  Client client(clock_, options);
  EXPECT_EQ(client.send_wait(url(server.port()), request(Method::kGet, "/"), kNever).value().status, 200);
  EXPECT_TRUE(testing::eventually([&server] { return server.server->stats().connections == 0; }));
}

TEST(ParseUrl, TakesHostsPortsAndPrefixes) {
  const Url full = parse_url("http://example.com:8080/a/b/").value();
  EXPECT_EQ(full.host, "example.com");
  EXPECT_EQ(full.port, 8080);
  EXPECT_EQ(full.base_path, "/a/b");
  EXPECT_EQ(full.host_port(), "example.com:8080");
  EXPECT_EQ(parse_url("http://h/").value().base_path, "");
  EXPECT_EQ(parse_url("http://h").value().port, 80);
  EXPECT_EQ(parse_url("10.0.0.1:99").value().host_port(), "10.0.0.1:99");
  EXPECT_EQ(parse_url("host").value().host_port(), "host:80");
  EXPECT_EQ(parse_url("http://[::1]:99/x").value().host, "::1");
  EXPECT_EQ(parse_url("[::1]").value().host_port(), "[::1]:80");
}

TEST(ParseUrl, RefusesWhatIsNotOne) {
  for (const char* text : {"",           "http://",     "https://",       "ftp://h",
                           "http://h:",  "http://h:0",  "http://h:65536", "http://h:8x",
                           "http://u@h", "http://h/?q", "http://h/#f",    "http://h/a b",
                           "h:1:2",      "::1",         "[::1",           "[::1]x",
                           "[h]",        "[%]",         "http://:80",     "a b"}) {
    const Result<Url> url = parse_url(text);
    ASSERT_FALSE(url.has_value()) << text;
    EXPECT_EQ(url.error().code, Code::kInvalid) << text;
  }
}

}  // namespace
}  // namespace skep::http
