// SPDX-License-Identifier: Apache-2.0
// A server on a runner's thread: what is posted and what comes from sockets share it, and neither starves the
// other.
#include "http/io_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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

// Tells which thread handled each request, and as which connection.
class Placed {
 public:
  explicit Placed(ServerOptions options) {
    auto made = Server::listen(std::move(options), Logger(), [this](Request request, Responder responder) {
      const std::lock_guard lock(mutex_);
      threads_.push_back(std::this_thread::get_id());
      connections_.push_back(request.connection);
      std::move(responder).send(plain(request.path == "/large" ? std::string(40'000, 'l') : *request.body));
    });
    if (!made) ADD_FAILURE() << made.error().message;
    server = std::move(made).value();
  }
  std::vector<std::thread::id> threads() {
    const std::lock_guard lock(mutex_);
    return threads_;
  }
  std::vector<std::uint64_t> connections() {
    const std::lock_guard lock(mutex_);
    return connections_;
  }

  std::unique_ptr<Server> server;

 private:
  std::mutex mutex_;
  std::vector<std::thread::id> threads_;
  std::vector<std::uint64_t> connections_;
};

TEST_F(IoLoopTest, ConnectionsWithLargeBodiesMoveToAThreadOfTheirOwn) {
  const std::string large(16 * 1024, 'b');
  for (const std::string& first : {post("/", large), get("/large")}) {
    Placed placed(options());
    RawConnection small(placed.server->port());
    RawConnection moves(placed.server->port());
    ASSERT_EQ(small.roundtrip(post("/", "a")).body, "a");
    ASSERT_EQ(moves.roundtrip(first).status, 200);
    ASSERT_EQ(moves.roundtrip(post("/", "c")).body, "c");
    ASSERT_EQ(small.roundtrip(post("/", "d")).body, "d");
    const auto threads = placed.threads();
    EXPECT_EQ(threads[0], threads[1]);
    EXPECT_NE(threads[2], threads[1]);
    EXPECT_EQ(threads[3], threads[0]);
    EXPECT_EQ(placed.connections()[2], placed.connections()[1]) << "it is the same connection";
    EXPECT_EQ(placed.server->stats().connections, 2U);
  }
}

TEST_F(IoLoopTest, WithoutAnotherThreadTheyStay) {
  ServerOptions alone = options();
  alone.threads = 0;
  Placed placed(alone);
  RawConnection connection(placed.server->port());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(connection.roundtrip(get("/large")).body.size(), 40'000U);
  EXPECT_EQ(placed.threads().front(), placed.threads().back());
}

TEST_F(IoLoopTest, NoRequestIsLostToAMove) {
  // Pipelined, so that the next request comes at every moment of the move of its connection.
  Placed placed(options());
  for (int round = 0; round < 100; ++round) {
    RawConnection connection(placed.server->port());
    std::string all;
    for (int i = 0; i < 8; ++i)
      all += post("/", std::string(i % 3 == 0 ? 20'000 : 10, static_cast<char>('a' + i)));
    std::thread sender([&] {
      const std::size_t step = 1000 + static_cast<std::size_t>(round) * 317;
      for (std::size_t at = 0; at < all.size(); at += step) connection.send(all.substr(at, step));
    });
    for (int i = 0; i < 8; ++i) {
      const auto answer = connection.read_response();
      EXPECT_EQ(answer.body, std::string(i % 3 == 0 ? 20'000 : 10, static_cast<char>('a' + i)));
    }
    sender.join();
  }
  EXPECT_EQ(placed.threads().size(), 800U);
}

TEST_F(IoLoopTest, ConnectionsThatMovedEndAsOthers) {
  Placed placed(options());
  {
    RawConnection moves(placed.server->port());
    ASSERT_EQ(moves.roundtrip(get("/large")).status, 200);
    ASSERT_EQ(moves.roundtrip(get("/large")).status, 200);
  }
  EXPECT_TRUE(eventually([&] { return placed.server->stats().connections == 0; }));
  RawConnection idle(placed.server->port());
  ASSERT_EQ(idle.roundtrip(get("/large")).status, 200);
  placed.server->stop(seconds(30));
  EXPECT_TRUE(idle.is_at_end());
  EXPECT_EQ(placed.server->stats().connections, 0U);
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
