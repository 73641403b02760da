// SPDX-License-Identifier: Apache-2.0
// Streams: what is written arrives in order, a slow or absent reader ends them, and they do not outlive the
// server.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "http/testing/echo_server.h"

namespace skep::http {
namespace {

using testing::EchoServer;
using testing::eventually;
using testing::get;
using testing::RawConnection;

Response event_head() {
  Response head;
  head.headers.set("Content-Type", "text/event-stream");
  return head;
}

// A stream to `connection`, whose request has been sent.
std::shared_ptr<Stream> open(EchoServer& server) {
  return server.held.take().stream(event_head());
}

TEST(ServerStream, SendsChunksInOrderAndThenTakesTheNextRequest) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold") + get("/next"));
  const std::shared_ptr<Stream> stream = open(server);
  EXPECT_TRUE(stream->write("data: 1\n\n"));
  EXPECT_TRUE(stream->write(""));
  const std::string head = connection.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  EXPECT_EQ(connection.read_until("1\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
  EXPECT_TRUE(stream->write(std::string(20, 'x')));
  stream->close();
  EXPECT_FALSE(stream->write("after"));
  EXPECT_EQ(connection.read_until("0\r\n\r\n"), "14\r\n" + std::string(20, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(connection.read_response().body, "GET /next []");
}

TEST(ServerStream, EndsWhenItsLastOwnerLetsGo) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  open(server)->write("x");
  EXPECT_TRUE(connection.read_until("0\r\n\r\n").ends_with("1\r\nx\r\n0\r\n\r\n"));
}

TEST(ServerStream, KeepsTheOrderOfWritesFromAnotherThread) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  const std::shared_ptr<Stream> stream = open(server);
  std::string expected;
  std::thread writer([&stream] {
    for (int i = 0; i < 1000; ++i) stream->write("<" + std::to_string(i) + ">");
    stream->close();
  });
  writer.join();
  const std::string received = connection.read_until("0\r\n\r\n");
  std::size_t at = 0;
  for (int i = 0; i < 1000; ++i) {
    at = received.find("<" + std::to_string(i) + ">", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

// As a manager does: the thread that has the request opens the stream and hands it on, and whoever gets it
// writes before that thread has come back from the handler.
TEST(ServerStream, KeepsTheOrderOfTheHandlersThreadAndAnother) {
  auto server = Server::listen({}, Logger(), [](const Request&, Responder responder) {
    const std::shared_ptr<Stream> stream = std::move(responder).stream(event_head());
    stream->write("first ");
    std::thread([&] { stream->write("second"); }).join();
  });
  ASSERT_TRUE(server) << server.error().message;
  RawConnection connection(server.value()->port());
  connection.send(get("/"));
  EXPECT_TRUE(connection.read_until("0\r\n\r\n").ends_with("6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n"));
}

TEST(ServerStream, WriteFailsOnceThePeerIsGone) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  const std::shared_ptr<Stream> stream = open(server);
  connection.close();
  EXPECT_TRUE(eventually([&stream] { return !stream->write("x"); }));
  EXPECT_TRUE(eventually([&server] { return server.server->stats().connections == 0; }));
}

TEST(ServerStream, ReaderThatDoesNotKeepUpIsCutOff) {
  ServerOptions options;
  options.stream_buffer_max = 100'000;
  EchoServer server(options);
  RawConnection connection(server.port(), 4096);
  connection.send(get("/hold"));
  const std::shared_ptr<Stream> stream = open(server);
  EXPECT_TRUE(eventually([&stream] { return !stream->write(std::string(10'000, 'x')); }));
  EXPECT_FALSE(stream->write("x"));
  EXPECT_TRUE(eventually([&server] { return server.server->stats().connections == 0; }));
}

TEST(ServerStream, ReaderThatKeepsUpMayReadMoreThanTheBuffer) {
  ServerOptions options;
  // Room for two: the bytes of one may be here while the server is still counting them.
  options.stream_buffer_max = 12'000;
  EchoServer server(options);
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  const std::shared_ptr<Stream> stream = open(server);
  connection.read_until("\r\n\r\n");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(stream->write(std::string(5000, 'x') + "!")) << i;
    connection.read_until("!");
  }
}

TEST(ServerStream, HeadRequestGetsTheHeadAlone) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send("HEAD /hold HTTP/1.1\r\nHost: x\r\n\r\n" + get("/next"));
  const std::shared_ptr<Stream> stream = open(server);
  EXPECT_TRUE(eventually([&stream] { return !stream->write("x"); }));
  connection.read_until("\r\n\r\n");
  EXPECT_EQ(connection.read_response().body, "GET /next []");
}

TEST(ServerStream, Http10ReaderGetsPlainBytesUntilTheEnd) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send("GET /hold HTTP/1.0\r\n\r\n");
  const std::shared_ptr<Stream> stream = open(server);
  stream->write("plain");
  stream->close();
  const std::string all = connection.read_to_end();
  EXPECT_TRUE(all.ends_with("\r\n\r\nplain")) << all;
  EXPECT_EQ(all.find("chunked"), std::string::npos);
}

TEST(ServerStream, StopEndsStreamsAtOnce) {
  EchoServer server;
  RawConnection connection(server.port());
  connection.send(get("/hold"));
  const std::shared_ptr<Stream> stream = open(server);
  stream->write("x");
  server.server->drain();
  EXPECT_TRUE(stream->write("y"));
  server.server->stop(minutes(1));
  EXPECT_TRUE(connection.read_to_end().ends_with("1\r\ny\r\n0\r\n\r\n"));
  EXPECT_FALSE(stream->write("z"));
  server.server = nullptr;
  stream->close();
}

}  // namespace
}  // namespace skep::http
