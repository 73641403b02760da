// SPDX-License-Identifier: Apache-2.0
// What a client sees of the server, byte for byte, over loopback: framing, order, life of connections.
#include "http/server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
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

TEST(Server, AnswersAndKeepsTheConnection) {
  const EchoServer server;
  RawConnection connection(server.port());
  const RawResponse first = connection.roundtrip(get("/a%20b?x=1&y="));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, "GET /a b x=1 y= []");
  EXPECT_TRUE(first.head.starts_with("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_TRUE(first.has_line("Content-Type: text/plain"));
  EXPECT_EQ(first.head.find("Connection:"), std::string::npos);
  EXPECT_EQ(connection.roundtrip(post("/p", "body")).body, "POST /p [body]");
  EXPECT_EQ(server.server->stats().connections, 1u);
  EXPECT_EQ(server.server->stats().requests, 2u);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold") + get("/1") + post("/2", "two") + get("/hold") + get("/3"));
  Responder first = server.held.take();
  std::move(first).send(plain("held 1"));
  Responder second = server.held.take();
  std::thread([&second] { std::move(second).send(plain("held 2")); }).join();
  EXPECT_EQ(connection.read_response().body, "held 1");
  EXPECT_EQ(connection.read_response().body, "GET /1 []");
  EXPECT_EQ(connection.read_response().body, "POST /2 [two]");
  EXPECT_EQ(connection.read_response().body, "held 2");
  EXPECT_EQ(connection.read_response().body, "GET /3 []");
}

TEST(Server, AnswersManyPipelinedRequestsWithBodies) {
  const EchoServer server;
  RawConnection connection(server.port());
  constexpr int kRequests = 300;
  std::thread sender([&connection] {
    for (int i = 0; i < kRequests; ++i) {
      connection.send(
          post("/" + std::to_string(i), std::string(static_cast<std::size_t>(i) * 37 % 5000, 'b')));
    }
  });
  sender.join();
  for (int i = 0; i < kRequests; ++i) {
    const std::string body(static_cast<std::size_t>(i) * 37 % 5000, 'b');
    ASSERT_EQ(connection.read_response().body, "POST /" + std::to_string(i) + " [" + body + "]");
  }
}

// A body is being read while an answer before it waits for its reader: what the one does must not touch what
// the other reads. How much a socket takes is the system's affair, so that answers of all sizes are tried.
TEST(Server, ABodyIsWhatWasSentWhileAnAnswerBeforeItWaits) {
  EchoServer server;
  std::string body;
  for (std::size_t i = 0; i < 100'000; ++i) body += static_cast<char>('a' + i % 23);
  for (std::size_t size = 64 * 1024; size <= 8 * 1024 * 1024; size += 192 * 1024) {
    RawConnection connection(server.port(), 4'096);
    const std::string request = post("/after", body);
    connection.send(get("/hold") + request.substr(0, request.size() / 2));
    std::move(server.held.take()).send(plain(std::string(size, 'x')));
    ASSERT_EQ(connection.read_response().body.size(), size);
    connection.send(request.substr(request.size() / 2));
    const std::string echo = connection.read_response().body;
    ASSERT_TRUE(echo == "POST /after [" + body + "]")
        << std::count(echo.begin(), echo.end(), '\0') << " bytes are zero after an answer of " << size;
  }
}

TEST(Server, TakesARequestInSinglePieces) {
  const EchoServer server;
  RawConnection connection(server.port());
  for (const char c : "\r\n" + post("/slow?a=b", "12345")) connection.send(std::string(1, c));
  EXPECT_EQ(connection.read_response().body, "POST /slow a=b [12345]");
}

TEST(Server, TakesBigBodiesAndSendsThemBack) {
  ServerOptions options;
  options.body_bytes_max = 8 << 20;
  const EchoServer server(options);
  RawConnection connection(server.port());
  for (const std::size_t size : {4096u, 131'072u, 262'144u, 1'048'576u, 5'000'001u}) {
    std::string body;
    for (std::size_t i = 0; i < size; ++i) body += static_cast<char>('a' + i % 23);
    std::thread sender([&] { connection.send(post("/big", body)); });
    const RawResponse response = connection.read_response();
    sender.join();
    ASSERT_EQ(response.status, 200);
    ASSERT_TRUE(response.body == "POST /big [" + body + "]") << size;
  }
}

TEST(Server, TakesChunkedBodies) {
  const EchoServer server;
  RawConnection connection(server.port());
  connection.send(
      "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n");
  connection.send("A;extension=1\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n" + get("/next"));
  EXPECT_EQ(connection.read_response().body, "PUT /c [abc0123456789]");
  EXPECT_EQ(connection.read_response().body, "GET /next []");
}

TEST(Server, TakesBigChunkedBodies) {
  const EchoServer server;
  RawConnection connection(server.port());
  const std::string chunk(100'000, 'z');
  std::string request = "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 8; ++i) request += "186a0\r\n" + chunk + "\r\n";
  request += "0\r\n\r\n";
  std::thread sender([&] { connection.send(request); });
  const RawResponse response = connection.read_response();
  sender.join();
  EXPECT_EQ(response.body.size(), 800'000 + std::string("POST /c []").size());
}

TEST(Server, TellsAWaitingClientToContinue) {
  const EchoServer server;
  RawConnection connection(server.port());
  connection.send("PUT /e HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(connection.roundtrip("body").body, "PUT /e [body]");
}

TEST(Server, DoesNotTellToContinueWhenTheBodyIsAlreadyHere) {
  const EchoServer server;
  RawConnection connection(server.port());
  EXPECT_EQ(
      connection
          .roundtrip("PUT /e HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
          .status,
      200);
}

TEST(Server, HeadHasTheLengthOfTheBodyAndNoBody) {
  const EchoServer server;
  RawConnection connection(server.port());
  connection.send("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n" + get("/next"));
  const RawResponse head = connection.read_response(true);
  EXPECT_TRUE(head.has_line("Content-Length: " + std::to_string(std::string("HEAD /h []").size())));
  EXPECT_EQ(connection.read_response().body, "GET /next []");
}

TEST(Server, NoContentHasNeitherLengthNorBody) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold") + get("/next"));
  Response response;
  response.status = 204;
  server.held.take().send(std::move(response));
  const RawResponse empty = connection.read_response();
  EXPECT_EQ(empty.status, 204);
  EXPECT_EQ(empty.head.find("Content-Length"), std::string::npos);
  EXPECT_EQ(connection.read_response().body, "GET /next []");
}

TEST(Server, ClosesWhenAskedTo) {
  const EchoServer server;
  RawConnection connection(server.port());
  const RawResponse response = connection.roundtrip(get("/", "Connection: close\r\n"));
  EXPECT_TRUE(response.has_line("Connection: close"));
  EXPECT_TRUE(connection.is_at_end());
}

TEST(Server, SpeaksHttp10) {
  const EchoServer server;
  RawConnection closing(server.port());
  EXPECT_TRUE(closing.roundtrip("GET / HTTP/1.0\r\n\r\n").has_line("Connection: close"));
  EXPECT_TRUE(closing.is_at_end());
  RawConnection keeping(server.port());
  const std::string request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  EXPECT_TRUE(keeping.roundtrip(request).has_line("Connection: keep-alive"));
  EXPECT_EQ(keeping.roundtrip(request).status, 200);
}

TEST(Server, TakesTheAbsoluteFormOfATarget) {
  const EchoServer server;
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(get("http://host:1/a?b=c")).body, "GET /a b=c []");
  EXPECT_EQ(connection.roundtrip(get("http://host")).body, "GET / []");
}

TEST(Server, TellsThePeerAndTheConnection) {
  std::promise<Request> seen;
  auto server = Server::listen({}, Logger(), [&seen](Request request, Responder responder) {
                  std::move(responder).send(plain(""));
                  seen.set_value(std::move(request));
                }).value();
  RawConnection connection(server->port());
  connection.roundtrip(get("/", "X-Iterations: 7\r\n"));
  const Request request = seen.get_future().get();
  EXPECT_EQ(request.peer_address, "127.0.0.1");
  EXPECT_NE(request.connection, 0u);
  EXPECT_EQ(*request.headers.find("x-iterations"), "7");
}

TEST(Server, HeadersOfAnAnswerCannotStartAnotherField) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  Response response = plain("x");
  response.headers.set("X-Name", "a\r\nEvil: 1");
  response.headers.set("Content-Length", "999");
  server.held.take().send(std::move(response));
  const RawResponse received = connection.read_response();
  EXPECT_TRUE(received.has_line("X-Name: a  Evil: 1"));
  EXPECT_EQ(received.body, "x");
}

TEST(Server, DroppedResponderAnswers500) {
  EchoServer server;
  RawConnection connection(server.port());
  EXPECT_EQ(connection.roundtrip(get("/drop")).status, 500);
  connection.send(get("/hold"));
  { const Responder dropped = server.held.take(); }
  EXPECT_EQ(connection.read_response().status, 500);
  EXPECT_EQ(connection.roundtrip(get("/ok")).status, 200);
}

TEST(Server, AssigningOverAResponderAnswersTheOldOne) {
  EchoServer server;
  RawConnection one(server.port());
  RawConnection two(server.port());
  one.send(get("/hold"));
  Responder responder = server.held.take();
  two.send(get("/hold"));
  responder = server.held.take();
  EXPECT_EQ(one.read_response().status, 500);
  std::move(responder).send(plain("second"));
  EXPECT_EQ(two.read_response().body, "second");
}

TEST(Server, AnswerAfterTheConnectionOrTheServerIsGoneIsDropped) {
  EchoServer server;
  RawConnection one(server.port());
  one.send(get("/hold"));
  Responder first = server.held.take();
  one.reset();
  EXPECT_TRUE(eventually([&first] { return first.is_peer_gone(); }));
  std::move(first).send(plain("too late"));

  RawConnection two(server.port());
  two.send(get("/hold"));
  Responder second = server.held.take();
  server.server = nullptr;
  EXPECT_TRUE(second.is_peer_gone());
  std::move(second).send(plain("too late"));
}

TEST(Server, TellsALongPollThatItsPeerIsGone) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  Responder responder = server.held.take();
  EXPECT_FALSE(responder.is_peer_gone());
  connection.close();
  EXPECT_TRUE(eventually([&responder] { return responder.is_peer_gone(); }));
}

TEST(Server, StillAnswersAPeerThatOnlyStoppedSending) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold") + get("/2"));
  Responder responder = server.held.take();
  connection.close_sending();
  EXPECT_TRUE(eventually([&responder] { return responder.is_peer_gone(); }));
  std::move(responder).send(plain("1"));
  EXPECT_EQ(connection.read_response().body, "1");
  EXPECT_TRUE(connection.is_at_end());
}

TEST(Server, ServesManyConnectionsOnSeveralThreads) {
  ServerOptions options;
  options.threads = 3;
  const EchoServer server(options);
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&server, c] {
      RawConnection connection(server.port());
      for (int i = 0; i < 100; ++i) {
        const std::string path = "/" + std::to_string(c) + "/" + std::to_string(i);
        ASSERT_EQ(connection.roundtrip(get(path)).body, "GET " + path + " []");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.server->stats().requests, 800u);
  EXPECT_TRUE(eventually([&server] { return server.server->stats().connections == 0; }));
}

TEST(ServerDrain, RefusesNewConnectionsAndClosesIdleOnes) {
  const EchoServer server;
  RawConnection idle(server.port());
  idle.roundtrip(get("/"));
  server.server->drain();
  EXPECT_TRUE(idle.is_at_end());
  EXPECT_FALSE(RawConnection(server.port()).is_connected());
}

TEST(ServerDrain, FinishesWhatIsUnderWayAndSaysThatItCloses) {
  EchoServer server;
  RawConnection waiting(server.port());
  waiting.send(get("/hold"));
  Responder responder = server.held.take();
  RawConnection sending(server.port());
  sending.send("POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  sending.read_until("100 Continue\r\n\r\n");
  server.server->drain();

  std::move(responder).send(plain("done"));
  const RawResponse waited = waiting.read_response();
  EXPECT_EQ(waited.body, "done");
  EXPECT_TRUE(waited.has_line("Connection: close"));
  EXPECT_TRUE(waiting.is_at_end());
  EXPECT_TRUE(sending.roundtrip("ab").has_line("Connection: close"));
  EXPECT_TRUE(sending.is_at_end());
}

TEST(ServerStop, WaitsForTheLastAnswer) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  Responder responder = server.held.take();
  auto stopped = std::async(std::launch::async, [&server] { server.server->stop(minutes(1)); });
  std::move(responder).send(plain("done"));
  EXPECT_EQ(connection.read_response().body, "done");
  stopped.get();
  server.server->stop(minutes(1));
}

TEST(ServerStop, ClosesWhatIsLeftWhenPatienceIsOver) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  const Responder responder = server.held.take();
  server.server->stop(milliseconds(1));
  EXPECT_TRUE(connection.is_at_end());
  EXPECT_EQ(server.server->stats().connections, 0u);
}

Error listen_error(std::string address) {
  ServerOptions options;
  options.listen = std::move(address);
  const auto made = Server::listen(std::move(options), Logger(), [](Request, Responder) {});
  return made ? fail(Code::kInternal, "it listened") : made.error();
}

std::string listened_address(std::string address) {
  ServerOptions options;
  options.listen = std::move(address);
  const auto made = Server::listen(std::move(options), Logger(), [](Request, Responder) {});
  if (!made) return made.error().message;
  const std::string text = made.value()->address();
  return text.substr(0, text.rfind(':'));
}

TEST(ServerListen, TakesNamesAndBothFamilies) {
  EXPECT_EQ(listened_address("127.0.0.1:0"), "127.0.0.1");
  EXPECT_EQ(listened_address("0.0.0.0:0"), "0.0.0.0");
  EXPECT_EQ(listened_address("localhost:0"), "127.0.0.1");
}

TEST(ServerListen, TakesIpv6WhereTheMachineHasIt) {
  const std::string loopback = listened_address("[::1]:0");
  if (loopback != "[::1]") GTEST_SKIP() << loopback;
  // Every address includes the IPv4 ones, and such a peer is shown as what it is.
  ServerOptions options;
  options.listen = "[::]:0";
  std::promise<std::string> peer;
  const auto server = Server::listen(options, Logger(), [&peer](Request request, Responder responder) {
                        std::move(responder).send(plain(""));
                        peer.set_value(request.peer_address);
                      }).value();
  RawConnection connection(server->port());
  EXPECT_EQ(connection.roundtrip(get("/")).status, 200);
  EXPECT_EQ(peer.get_future().get(), "127.0.0.1");
}

TEST(ServerListen, SaysInOneSentenceWhatIsWrongWithAnAddress) {
  for (const char* address :
       {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
        "::1:80", "[::1]", "999.1.1.1:80", "192.0.2.1:0"}) {
    const Error error = listen_error(address);
    EXPECT_EQ(error.code, Code::kInvalid) << address << ": " << error.message;
    EXPECT_TRUE(error.message.starts_with("cannot listen on '" + std::string(address) + "': "))
        << error.message;
  }
}

TEST(ServerListen, SaysWhenThePortIsTaken) {
  const EchoServer server;
  const Error error = listen_error(server.server->address());
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_EQ(error.message,
            "cannot listen on '" + server.server->address() + "': another program has that port");
}

}  // namespace
}  // namespace skep::http
