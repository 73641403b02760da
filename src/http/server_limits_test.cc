// SPDX-License-Identifier: Apache-2.0
// Every limit and every malformed request: what the server answers itself, and that it then closes.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "http/testing/echo_server.h"

namespace skep::http {
namespace {

using testing::EchoServer;
using testing::eventually;
using testing::get;
using testing::plain;
using testing::post;
using testing::RawConnection;
using testing::RawResponse;

// The answer to `request` on a connection of its own, which must end with it.
RawResponse refused(const EchoServer& server, std::string_view request) {
  RawConnection connection(server.port());
  connection.send(request);
  RawResponse response = connection.read_response();
  EXPECT_TRUE(response.has_line("Connection: close")) << response.head;
  EXPECT_TRUE(connection.is_at_end());
  return response;
}

TEST(ServerLimits, BodyOverTheLimitIsRefusedFromItsLength) {
  ServerOptions options;
  options.body_bytes_max = 1000;
  const EchoServer server(options);
  const RawResponse response = refused(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.body, "the body is larger than the limit of 1000 bytes\n");
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(post("/", std::string(1000, 'x'))).status, 200);
  EXPECT_EQ(server.server->stats().refused, 1u);
}

// The time between requests begins when the answer is sent, not when it is made: who reads a large one slowly
// is not idle.
TEST(ServerLimits, AnAnswerThatTakesLongerToReadThanAConnectionMayBeIdleIsSentWhole) {
  ServerOptions options;
  options.idle_timeout = milliseconds(200);
  EchoServer server(options);
  RawConnection connection(server.port(), 4'096);
  connection.send(get("/hold"));
  constexpr std::size_t kBytes = std::size_t{16} << 20;
  std::move(server.held.take()).send(plain(std::string(kBytes, 'x')));
  const SystemClock clock;
  const Instant begin = clock.now();
  EXPECT_EQ(connection.read_until("\r\n\r\n").substr(9, 3), "200");
  std::size_t got = 0;
  for (int part = 1; part <= 8; ++part) {
    const std::size_t size = connection.read_exactly(kBytes / 8).size();
    got += size;
    if (size < kBytes / 8) break;
    // A reader that takes two megabytes in a tenth of a second.
    EXPECT_TRUE(eventually([&] { return clock.now() - begin >= milliseconds(100) * part; }));
  }
  EXPECT_EQ(got, kBytes);
}

TEST(ServerLimits, RefusedClientMaySendItsWholeBodyAndStillGetsTheAnswer) {
  const EchoServer server;
  RawConnection connection(server.port());
  const std::string body(8 << 20, 'x');
  EXPECT_TRUE(connection.send(post("/", body)));
  EXPECT_EQ(connection.read_response().status, 413);
}

TEST(ServerLimits, ExpectedBodyOverTheLimitIsRefusedBeforeItIsSent) {
  ServerOptions options;
  options.body_bytes_max = 10;
  const EchoServer server(options);
  EXPECT_EQ(refused(server, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
                .status,
            413);
}

TEST(ServerLimits, ChunkedBodyOverTheLimitIsRefused) {
  ServerOptions options;
  options.body_bytes_max = 10;
  const EchoServer server(options);
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(refused(server, head + "6\r\nabcdef\r\n5\r\n").status, 413);
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(head + "6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n").status, 200);
}

TEST(ServerLimits, HeaderOverTheLimitIs431) {
  ServerOptions options;
  options.header_bytes_max = 1000;
  const EchoServer server(options);
  EXPECT_EQ(refused(server, get("/", "A: " + std::string(1000, 'x') + "\r\n")).status, 431);
  std::string fields;
  for (int i = 0; i < 50; ++i) fields += "Field-" + std::to_string(i) + ": some value\r\n";
  EXPECT_EQ(refused(server, get("/", fields)).status, 431);
  EXPECT_EQ(refused(server, "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2000, 'x')).status, 431);
}

TEST(ServerLimits, HeaderLimitCountsEveryByteOfTheHead) {
  const std::string fixed = get("/", "A: \r\n");
  ServerOptions options;
  options.header_bytes_max = fixed.size() + 500;
  const EchoServer server(options);
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(get("/", "A: " + std::string(500, 'x') + "\r\n")).status, 200);
  EXPECT_EQ(refused(server, get("/", "A: " + std::string(501, 'x') + "\r\n")).status, 431);
}

TEST(ServerLimits, TargetOverEightKibIs414) {
  const EchoServer server;
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(get("/" + std::string(8191, 'x'))).status, 200);
  EXPECT_EQ(refused(server, get("/" + std::string(8192, 'x'))).status, 414);
  EXPECT_EQ(refused(server, "GET /" + std::string(20'000, 'x')).status, 414);
}

TEST(ServerLimits, UnfinishedRequestIs408) {
  ServerOptions options;
  options.request_timeout = milliseconds(40);
  const EchoServer server(options);
  EXPECT_EQ(refused(server, "GET / HTTP/1.1\r\nHost:").status, 408);
  EXPECT_EQ(refused(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab").status, 408);
  EXPECT_EQ(refused(server, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").status,
            408);
}

TEST(ServerLimits, TimeoutsDoNotTouchAHandlerThatTakesLonger) {
  ServerOptions options;
  options.request_timeout = milliseconds(10);
  options.idle_timeout = milliseconds(10);
  EchoServer server(options);
  RawConnection slow(server.port());
  slow.send(get("/hold"));
  Responder responder = server.held.take();
  // By the time a later connection has run into the time-out, so would this one have.
  EXPECT_TRUE(RawConnection(server.port()).is_at_end());
  EXPECT_TRUE(RawConnection(server.port()).is_at_end());
  std::move(responder).send(plain("in its own time"));
  EXPECT_EQ(slow.read_response().body, "in its own time");
}

TEST(ServerLimits, IdleConnectionIsClosedWithoutAWord) {
  ServerOptions options;
  options.idle_timeout = milliseconds(40);
  const EchoServer server(options);
  RawConnection never_used(server.port());
  EXPECT_TRUE(never_used.is_at_end());
  RawConnection used(server.port());
  EXPECT_EQ(used.roundtrip(get("/")).status, 200);
  EXPECT_TRUE(used.is_at_end());
}

TEST(ServerLimits, PeerThatTakesNothingIsClosed) {
  ServerOptions options;
  options.send_timeout = milliseconds(40);
  EchoServer server(options);
  RawConnection connection(server.port(), 4096);
  connection.send(get("/hold"));
  Responder responder = server.held.take();
  std::move(responder).send(plain(std::string(64 << 20, 'x')));
  EXPECT_TRUE(eventually([&server] { return server.server->stats().connections == 0; }));
}

TEST(ServerLimits, ConnectionOverTheLimitGets503WithRetryAfter) {
  ServerOptions options;
  options.connections_max = 2;
  const EchoServer server(options);
  RawConnection one(server.port());
  one.roundtrip(get("/"));
  {
    RawConnection two(server.port());
    two.roundtrip(get("/"));
    RawConnection three(server.port());
    three.send(get("/"));
    const RawResponse response = three.read_response();
    EXPECT_EQ(response.status, 503);
    EXPECT_TRUE(response.has_line("Retry-After: 1"));
    EXPECT_TRUE(three.is_at_end());
    EXPECT_EQ(server.server->stats().refused, 1u);
  }
  EXPECT_TRUE(eventually([&server] { return server.server->stats().connections == 1; }));
  EXPECT_EQ(RawConnection(server.port()).roundtrip(get("/")).status, 200);
}

TEST(ServerLimits, ProblemCallbackMakesTheBodies) {
  ServerOptions options;
  options.problem = [](int status, std::string_view detail) {
    return Response::text(status, "application/problem+json", "{" + std::string(detail) + "}");
  };
  const EchoServer server(options);
  const RawResponse response = refused(server, get("*"));
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(response.has_line("Content-Type: application/problem+json"));
  EXPECT_EQ(response.body, "{the target does not begin with '/'}");
  RawConnection connection(server.port());
  EXPECT_TRUE(connection.roundtrip(get("/drop")).has_line("Content-Type: application/problem+json"));
}

struct Malformed {
  const char* request;
  int status;
};

class ServerMalformed : public ::testing::TestWithParam<Malformed> {};

TEST_P(ServerMalformed, IsRefused) {
  const EchoServer server;
  EXPECT_EQ(refused(server, GetParam().request).status, GetParam().status) << GetParam().request;
}

INSTANTIATE_TEST_SUITE_P(
    Requests, ServerMalformed,
    ::testing::Values(
        Malformed{"nonsense\r\n\r\n", 400}, Malformed{"\x16\x03\x01\x02garbage\r\n\r\n", 400},
        Malformed{"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400}, Malformed{"GET / HTTP/1.1\r\n\r\n", 400},
        Malformed{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        Malformed{"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
        Malformed{"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
        Malformed{"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        Malformed{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505}, Malformed{"GET / HTTP/0.9\r\n\r\n", 505},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        Malformed{
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400},
        Malformed{
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
            400},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 501},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
        Malformed{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        Malformed{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
                  400},
        Malformed{"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: magic\r\n\r\n", 417}));

TEST(ServerLimits, ChunkHeadWithoutAnEndIsRefused) {
  const EchoServer server;
  RawConnection connection(server.port());
  connection.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                  std::string(100'000, 'x'));
  EXPECT_EQ(connection.read_response().status, 400);
}

}  // namespace
}  // namespace skep::http
