// SPDX-License-Identifier: Apache-2.0
#include "manager/siblings.h"

#include <utility>

namespace skep::manager {
namespace {

constexpr std::size_t kIdleConnections = 32;  // to one sibling
constexpr Duration kConnectTimeout = milliseconds(800);

class HttpSiblingCalls final : public SiblingCalls {
 public:
  HttpSiblingCalls(Executor& executor, const Clock& clock)
      : executor_(executor),
        client_(clock, {.idle_connections_max = kIdleConnections, .connect_timeout = kConnectTimeout}) {}

  void send(const std::string& address, http::ClientRequest request, Duration patience,
            http::Client::Done done) override {
    auto url = http::parse_url(address);
    if (!url) {
      executor_.post([done = std::move(done), error = url.error()]() mutable { done(std::move(error)); });
      return;
    }
    // A token of the role sibling goes here, too.
    request.headers.set(kForwardedHeader, "1");
    client_.send(std::move(url.value()), std::move(request), executor_.now() + patience, executor_,
                 std::move(done));
  }

 private:
  Executor& executor_;
  http::Client client_;
};

}  // namespace

std::unique_ptr<SiblingCalls> make_sibling_calls(Executor& executor, const Clock& clock) {
  return std::make_unique<HttpSiblingCalls>(executor, clock);
}

}  // namespace skep::manager
