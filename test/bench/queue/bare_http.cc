// SPDX-License-Identifier: Apache-2.0
#include "bare_http.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#include "base/limits_os.h"
#include "http/server.h"
#include "skep_wire.h"

namespace skep::bench::queue {
namespace {

constexpr std::size_t kBodyMax = std::size_t{33} << 20;  // as a manager takes

std::size_t number_of(const http::Request& request, std::string_view name) {
  const auto text = request.param(name).value_or("0");
  std::size_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// Answers are made once for each form and shared: none of the driver's time is spent on them.
class Answers {
 public:
  http::Body leases(std::size_t count, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto& body = leases_[{count, bytes}];
    if (body == nullptr) body = std::make_shared<const std::string>(wire::leases_reply(count, bytes));
    return body;
  }

  const http::Body worker = std::make_shared<const std::string>(wire::worker_reply());
  const http::Body one =
      std::make_shared<const std::string>(R"({"id":"00000000008000000002","state":"queued"})");

 private:
  std::mutex mutex_;
  std::map<std::pair<std::size_t, std::size_t>, http::Body> leases_;
};

// How many tasks or outcomes a request has.
std::size_t messages_in(const http::Request& request) {
  return wire::count_of(*request.body, request.path == "/v1/tasks:batch" ? 1 : 2);
}

http::Body answer_to(const http::Request& request, Answers& answers) {
  if (request.path == "/v1/tasks") return answers.one;
  if (request.path == "/v1/workers") return answers.worker;
  if (request.path == "/v1/leases:acquire") {
    return answers.leases(number_of(request, "count"), number_of(request, "bytes"));
  }
  const auto count = messages_in(request);
  return std::make_shared<const std::string>(request.path == "/v1/tasks:batch" ? wire::enqueued_reply(count)
                                                                               : wire::accepted_reply(count));
}

}  // namespace

int serve_bare_http() {
  Answers answers;
  http::ServerOptions options;
  options.threads = std::clamp(usable_cores() / 2, 1, 4);  // as a manager has with more than two cores
  options.body_bytes_max = kBodyMax;
  auto server =
      http::Server::listen(options, Logger(), [&](http::Request request, http::Responder responder) {
        http::Response response;
        response.headers.set("Content-Type", std::string(wire::kContentType));
        response.body = answer_to(request, answers);
        std::move(responder).send(std::move(response));
      });
  if (!server) fail("the bare server does not start");
  std::printf("listening on %s\n", server.value()->address().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  server.value()->stop(Duration{});
  return 0;
}

}  // namespace skep::bench::queue
