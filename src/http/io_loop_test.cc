// SPDX-License-Identifier: Apache-2.0
// A server on a runner's thread: what is posted and what comes from sockets share it, and neither starves the
// other.
#include "http/io_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "base/clock.h"
#include "http/testing/echo_server.h"

namespace skep::http {
namespace {

using testing::EchoServer;
using testing::eventually;
using testing::get;
using testing::plain;
using testing::post;
using testing::RawConnection;

class IoLoopTest : public ::testing::Test {
 protected:
  // Runs `work` on the runner and waits for it.
  template <class Work>
  void run_on_runner(Work work) {
    std::promise<void> done;
    runner.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  ServerOptions options() {
    ServerOptions options;
    options.loop = loop;
    return options;
  }

  const SystemClock clock;
  const std::shared_ptr<IoLoop> loop = std::make_shared<IoLoop>();
  Runner runner{clock, "test", loop};
};

TEST_F(IoLoopTest, HandlerAndPostedWorkRunOnOneThread) {
  std::atomic<std::thread::id> handler;
  auto server = Server::listen(options(), Logger(), [&](Request, Responder responder) {
    handler = std::this_thread::get_id();
    runner.post([answer = std::make_shared<Responder>(std::move(responder))] {
      std::move(*answer).send(plain("later"));
    });
  });
  ASSERT_TRUE(server) << server.error().message;
  RawConnection connection(server.value()->port());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(connection.roundtrip(get("/")).body, "later");
  std::thread::id own;
  run_on_runner([&own] { own = std::this_thread::get_id(); });
  EXPECT_EQ(handler.load(), own);
  server.value()->stop(Duration::zero());
}

TEST_F(IoLoopTest, AnswersFromAnotherThreadWakeIt) {
  EchoServer server(options());
  RawConnection connection(server.port());
  for (int i = 0; i < 50; ++i) {
    connection.send(get("/hold"));
    std::move(server.held.take()).send(plain("held"));
    ASSERT_EQ(connection.read_response().body, "held");
  }
}

TEST_F(IoLoopTest, PostedWorkAndTimersRunWhileRequestsKeepComing) {
  EchoServer server(options());
  std::atomic<bool> is_over = false;
  std::thread client([&] {
    RawConnection connection(server.port());
    while (!is_over) connection.roundtrip(post("/", std::string(1000, 'b')));
  });
  for (int i = 0; i < 100; ++i) run_on_runner([] {});
  std::promise<void> fired;
  run_on_runner([&] { runner.post_at(runner.now() + milliseconds(1), [&] { fired.set_value(); }); });
  fired.get_future().wait();
  is_over = true;
  client.join();
}

TEST_F(IoLoopTest, RequestsAreAnsweredWhileWorkKeepsPostingItself) {
  EchoServer server(options());
  std::atomic<bool> is_over = false;
  std::promise<void> ended;
  std::function<void()> again = [&] {
    if (is_over) return ended.set_value();
    runner.post([&again] { again(); });
  };
  runner.post([&again] { again(); });
  RawConnection connection(server.port());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(connection.roundtrip(get("/x")).body, "GET /x []");
  is_over = true;
  ended.get_future().wait();
}

TEST_F(IoLoopTest, WaitsAreEndedByPostsAndByTheEnd) {
  // Each post finds the loop asleep or about to be: none may be lost.
  for (int i = 0; i < 2000; ++i) run_on_runner([] {});
  std::atomic<bool> has_run = false;
  runner.stop();
  runner.post([&has_run] { has_run = true; });
  EXPECT_FALSE(has_run);
}

TEST_F(IoLoopTest, AServerThatStopsLeavesTheRunnerToOthers) {
  for (int round = 0; round < 20; ++round) {
    EchoServer server(options());
    RawConnection idle(server.port());
    RawConnection held(server.port());
    RawConnection busy(server.port());
    ASSERT_EQ(busy.roundtrip(get("/x")).body, "GET /x []");
    held.send(get("/hold"));
    Responder late = server.held.take();
    server.server->stop(Duration::zero());
    server.server = nullptr;
    std::move(late).send(plain("to nobody"));
    run_on_runner([] {});
  }
}

}  // namespace
}  // namespace skep::http
