// SPDX-License-Identifier: Apache-2.0
#include "manager/siblings.h"

#include <utility>

namespace skep::manager {
namespace {

constexpr std::size_t kIdleConnections = 32;  // to one sibling
constexpr Duration kConnectTimeout = milliseconds(800);

class HttpSiblingCalls final : public SiblingCalls {
 public:
  HttpSiblingCalls(Executor& executor, const Clock& clock, SiblingAccess access)
      : executor_(executor),
        is_tls_(access.is_tls),
        client_(clock, {.idle_connections_max = kIdleConnections,
                        .connect_timeout = kConnectTimeout,
                        .tls = std::move(access.tls),
                        .bearer = std::move(access.bearer)}) {}

  void send(const std::string& address, http::ClientRequest request, Duration patience,
            http::Client::Done done) override {
    auto url = http::parse_url(address);
    if (!url) {
      executor_.post([done = std::move(done), error = url.error()]() mutable { done(std::move(error)); });
      return;
    }
    if (is_tls_) url.value().is_tls = true;
    request.headers.set(kForwardedHeader, "1");
    client_.send(std::move(url.value()), std::move(request), executor_.now() + patience, executor_,
                 std::move(done));
  }

 private:
  Executor& executor_;
  const bool is_tls_;
  http::Client client_;
};

}  // namespace

std::unique_ptr<SiblingCalls> make_sibling_calls(Executor& executor, const Clock& clock,
                                                 SiblingAccess access) {
  return std::make_unique<HttpSiblingCalls>(executor, clock, std::move(access));
}

}  // namespace skep::manager
