// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <pthread.h>
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "base/check.h"
#include "http/internal_client.h"

namespace skep::http {
namespace {

// A server that closed an idle connection, or sent something nobody asked for, left that to be read.
bool is_quiet(Connection& connection) {
  char byte = 0;
  const ssize_t size = recv(connection.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

std::optional<Connection> IdleConnections::take(const std::string& place) {
  const auto found = by_place_.find(place);
  if (found == by_place_.end()) return std::nullopt;
  std::vector<Idle>& idle = found->second;
  const Steady::time_point oldest = Steady::now() - options_.idle_timeout;
  std::optional<Connection> socket;
  while (!socket && !idle.empty()) {
    if (idle.back().since > oldest && is_quiet(idle.back().socket))
      socket.emplace(std::move(idle.back().socket));
    idle.pop_back();
  }
  if (idle.empty()) by_place_.erase(found);
  return socket;
}

void IdleConnections::put(const std::string& place, Connection connection) {
  if (options_.idle_connections_max == 0) return;
  std::vector<Idle>& idle = by_place_[place];
  if (idle.size() >= options_.idle_connections_max) idle.erase(idle.begin());
  idle.push_back({std::move(connection), Steady::now()});
  sweep_later();
}

void IdleConnections::close_all() {
  by_place_.clear();
  sweep_timer_.cancel();
}

// Connections that grew old are closed even if nobody asks for their host again.
void IdleConnections::sweep_later() {
  if (std::exchange(is_sweeping_, true)) return;
  sweep_timer_.expires_after(options_.idle_timeout);
  sweep_timer_.async_wait([this](const IoError& stopped) {
    is_sweeping_ = false;
    if (stopped) return;
    const Steady::time_point oldest = Steady::now() - options_.idle_timeout;
    for (auto host = by_place_.begin(); host != by_place_.end();) {
      std::erase_if(host->second, [oldest](const Idle& idle) { return idle.since <= oldest; });
      host = host->second.empty() ? by_place_.erase(host) : std::next(host);
    }
    if (!by_place_.empty()) sweep_later();
  });
}

struct Client::Impl {
  Impl(const Clock& c, ClientOptions options) : clock(c), core(std::move(options)) {
    thread = std::thread([this]() noexcept {
      pthread_setname_np(pthread_self(), "http-client");
      core.io.run();
    });
  }

  // `done` runs on the client's thread.
  void begin(Url url, ClientRequest request, Instant deadline, Done done);
  void stop();

  const Clock& clock;
  ClientCore core;
  asio::executor_work_guard<asio::io_context::executor_type> work{core.io.get_executor()};
  std::thread thread;
};

void Client::Impl::begin(Url url, ClientRequest request, Instant deadline, Done done) {
  auto exchange = std::make_shared<Exchange>(core, std::move(url), std::move(request), std::move(done));
  asio::post(core.io, [this, deadline, exchange = std::move(exchange)] {
    std::optional<Duration> remaining;
    if (deadline != kNever) remaining = deadline - clock.now();
    exchange->start(remaining);
  });
}

void Client::Impl::stop() {
  SKEP_CHECK(std::this_thread::get_id() != thread.get_id(), "a client cannot wait for its own end");
  asio::post(core.io, [this] {
    while (!core.exchanges.empty()) {
      const std::shared_ptr<Exchange> exchange = core.exchanges.begin()->second;
      exchange->fail_with(Code::kUnavailable, "the client is closing");
    }
    core.idle.close_all();
    work.reset();
  });
  thread.join();
}

Client::Client(const Clock& clock, ClientOptions options)
    : impl_(std::make_shared<Impl>(clock, std::move(options))) {}

Client::~Client() {
  impl_->stop();
}

void Client::send(Url url, ClientRequest request, Instant deadline, Executor& reply_on, Done done) {
  impl_->begin(std::move(url), std::move(request), deadline,
               [&reply_on, done = std::move(done)](Result<Response> result) mutable {
                 reply_on.post([done = std::move(done), result = std::move(result)]() mutable {
                   done(std::move(result));
                 });
               });
}

Result<Response> Client::send_wait(const Url& url, ClientRequest request, Instant deadline) {
  std::promise<Result<Response>> promise;
  impl_->begin(url, std::move(request), deadline,
               [&promise](Result<Response> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

}  // namespace skep::http
