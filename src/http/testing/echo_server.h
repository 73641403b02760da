// SPDX-License-Identifier: Apache-2.0
// echo_server.h - a server for tests whose handler tells what it was given.
//
// The answer to any request is its method, path, query and body; "/hold" is kept for the test to answer.
//
// Threads:   the handler runs on the server's threads; the held responders are handed over one by one.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "http/server.h"
#include "http/testing/raw_connection.h"

namespace skep::http::testing {

// Responders on their way from the handler to the test.
class Held {
 public:
  void put(Responder responder) {
    const std::lock_guard lock(mutex_);
    responders_.push_back(std::move(responder));
    changed_.notify_one();
  }
  Responder take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !responders_.empty(); });
    Responder responder = std::move(responders_.front());
    responders_.pop_front();
    return responder;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Responder> responders_;
};

inline std::string describe(const Request& request) {
  std::string text = std::string(method_name(request.method)) + " " + request.path;
  for (const auto& [name, value] : request.query) text += " " + name + "=" + value;
  return text + " [" + *request.body + "]";
}

inline Response plain(std::string body) {
  return Response::text(200, "text/plain", std::move(body));
}

class EchoServer {
 public:
  explicit EchoServer(ServerOptions options = {}) {
    Result<std::unique_ptr<Server>> made =
        Server::listen(std::move(options), Logger(), [this](Request request, Responder responder) {
          if (request.path == "/hold") return held.put(std::move(responder));
          if (request.path == "/drop") return;
          std::move(responder).send(plain(describe(request)));
        });
    if (!made) ADD_FAILURE() << made.error().message;
    server = std::move(made).value();
  }

  int port() const { return server->port(); }

  Held held;
  std::unique_ptr<Server> server;
};

inline std::string get(std::string_view path, std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(more) + "\r\n";
}

inline std::string post(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

}  // namespace skep::http::testing
