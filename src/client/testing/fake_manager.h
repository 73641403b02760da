// SPDX-License-Identifier: Apache-2.0
// fake_manager.h - an HTTP server for tests that answers each request as the test says and remembers it.
//
// Threads:   the handler runs on the server's thread; everything else from any thread.
// Ownership: the destructor stops the server first.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoints.h"
#include "api/errors.h"
#include "api/json.h"
#include "api/skep.pb.h"
#include "http/client.h"
#include "http/server.h"

namespace skep::client::testing {

inline http::Response reply(const google::protobuf::Message& message) {
  return http::Response::text(200, api::kProtobuf, message.SerializeAsString());
}

inline http::Response problem(const Error& error) {
  return http::Response::text(api::info(error.code).http_status, api::kProblemJson, api::problem_json(error));
}

class FakeManager {
 public:
  using Answer = std::function<http::Response(const http::Request&)>;

  explicit FakeManager(Answer answer) : answer_(std::move(answer)) {
    auto made = http::Server::listen({}, Logger(), [this](http::Request request, http::Responder responder) {
      http::Response response = answer_(request);
      note(std::move(request));
      std::move(responder).send(std::move(response));
    });
    if (!made) ADD_FAILURE() << made.error().message;
    server_ = std::move(made).value();
  }
  ~FakeManager() { server_->stop(Duration::zero()); }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;

  http::Url url() const { return {"127.0.0.1", server_->port(), ""}; }

  // What came so far.
  std::vector<http::Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // Waits until `count` requests have come.
  void wait_for_requests(std::size_t count) const {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return requests_.size() >= count; });
  }

 private:
  void note(http::Request request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    came_.notify_all();
  }

  Answer answer_;
  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  std::vector<http::Request> requests_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace skep::client::testing
