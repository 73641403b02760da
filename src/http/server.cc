// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <charconv>
#include <future>
#include <vector>

#include "http/internal_server.h"

namespace skep::http {
namespace {

// How long accepting pauses when the system has no descriptor left.
constexpr Duration kAcceptPause = milliseconds(100);

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

Error bad_listen(std::string_view text, std::string_view why) {
  return fail(Code::kInvalid, "cannot listen on '" + std::string(text) + "': " + std::string(why));
}

Result<HostPort> parse_listen(std::string_view text) {
  constexpr std::string_view kForm = "write HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:8080";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_listen(text, kForm);
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_listen(text, "an IPv6 address stands in brackets, such as [::1]:8080");
  }
  if (host.empty()) return bad_listen(text, "there is no host; 0.0.0.0 is every address of this machine");
  HostPort parsed{std::string(host)};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return bad_listen(text, "the port is a number from 0 (any free one) to 65535");
  }
  return parsed;
}

// The addresses that `place` names, IPv4 first: "localhost" is then what most clients try and every tool
// prints.
Result<std::vector<Tcp::endpoint>> resolve(asio::io_context& io, const HostPort& place,
                                           std::string_view text) {
  IoError error;
  const asio::ip::address address = asio::ip::make_address(place.host, error);
  if (!error) return std::vector{Tcp::endpoint(address, place.port)};
  Tcp::resolver resolver(io);
  const auto found = resolver.resolve(place.host, std::to_string(place.port), Tcp::resolver::passive, error);
  if (error || found.empty()) return bad_listen(text, "no address is known for that host name");
  std::vector<Tcp::endpoint> endpoints;
  for (const bool wants_v4 : {true, false}) {
    for (const auto& entry : found) {
      if (entry.endpoint().address().is_v4() == wants_v4) endpoints.push_back(entry.endpoint());
    }
  }
  return endpoints;
}

IoError bind_to(Tcp::acceptor& acceptor, const Tcp::endpoint& endpoint) {
  IoError error;
  IoError ignored;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  // "[::]" is for every address, IPv4 too, whatever the system's default is.
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), ignored);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(Tcp::acceptor::max_listen_connections, error);
  if (error) acceptor.close(ignored);
  return error;
}

Error listen_error(std::string_view text, const IoError& error) {
  if (error == asio::error::address_in_use) {
    return fail(Code::kUnavailable, bad_listen(text, "another program has that port").message);
  }
  if (error == asio::error::access_denied) {
    return fail(Code::kUnavailable,
                bad_listen(text, "no permission; ports below 1024 need a privilege").message);
  }
  if (error == boost::system::errc::address_not_available) {
    return bad_listen(text, "this machine has no such address");
  }
  return fail(Code::kUnavailable, bad_listen(text, error.message()).message);
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options, Logger log, Handler handler);

  Result<void> bind();
  void start();
  void accept();
  void on_accept(IoThread& home, const IoError& error, Tcp::socket socket);
  void drain();
  void stop(Duration patience);

  ServerCore core;
  std::vector<std::unique_ptr<IoThread>> threads;
  Tcp::acceptor acceptor;  // of the first thread
  asio::steady_timer accept_pause;
  Tcp::endpoint bound;
  std::size_t next_thread = 0;
  bool is_out_of_descriptors = false;
  bool is_started = false;
  bool is_drained = false;
  bool is_stopped = false;
};

namespace {

std::vector<std::unique_ptr<IoThread>> make_threads(ServerCore& core) {
  std::vector<std::unique_ptr<IoThread>> threads;
  const bool has_loop = core.options.loop != nullptr;
  if (has_loop) threads.push_back(std::make_unique<IoThread>(core, 0, core.options.loop));
  // A connection with TLS does not move.
  const int large = core.options.tls.certificate_file.empty() ? std::clamp(core.options.threads, 0, 1) : 0;
  const int own = has_loop ? large : std::max(core.options.threads, 1);
  for (int i = 0; i < own; ++i) threads.push_back(std::make_unique<IoThread>(core, i, nullptr));
  return threads;
}

}  // namespace

Server::Impl::Impl(ServerOptions options, Logger log, Handler handler)
    : core(std::move(options), std::move(log), std::move(handler)),
      threads(make_threads(core)),
      acceptor(threads.front()->io),
      accept_pause(threads.front()->io) {}

Result<void> Server::Impl::bind() {
  const std::string& text = core.options.listen;
  SKEP_TRY(const HostPort place, parse_listen(text));
  SKEP_TRY(const std::vector<Tcp::endpoint> endpoints, resolve(threads.front()->io, place, text));
  IoError error;
  for (const Tcp::endpoint& endpoint : endpoints) {
    error = bind_to(acceptor, endpoint);
    if (!error) break;
  }
  if (error) return listen_error(text, error);
  bound = acceptor.local_endpoint(error);
  if (error) return listen_error(text, error);
  return ok();
}

void Server::Impl::start() {
  accept();
  IoThread* const large = core.options.loop != nullptr && threads.size() > 1 ? threads.back().get() : nullptr;
  for (const auto& thread : threads) thread->start(large);
  is_started = true;
}

void Server::Impl::accept() {
  // Beside a runner's loop the other thread is for what is large.
  IoThread& home = *threads[core.options.loop != nullptr ? 0 : next_thread++ % threads.size()];
  acceptor.async_accept(home.io, [this, &home](IoError error, Tcp::socket socket) {
    on_accept(home, error, std::move(socket));
  });
}

void Server::Impl::on_accept(IoThread& home, const IoError& error, Tcp::socket socket) {
  if (!acceptor.is_open()) return;
  if (error) {
    // A peer that gave up before it was accepted is no reason to wait; a lack of descriptors is.
    if (error == asio::error::connection_aborted) return accept();
    if (!std::exchange(is_out_of_descriptors, true)) {
      core.log.warn("cannot accept connections", {{"why", error.message()}});
    }
    accept_pause.expires_after(kAcceptPause);
    accept_pause.async_wait([this](IoError stopped) {
      if (!stopped && acceptor.is_open()) accept();
    });
    return;
  }
  is_out_of_descriptors = false;
  const bool is_over_limit = !core.try_open();
  home.mailbox->post([&home, is_over_limit, socket = std::move(socket)]() mutable {
    home.adopt(std::move(socket), is_over_limit);
  });
  accept();
}

void Server::Impl::drain() {
  if (!is_started || std::exchange(is_drained, true)) return;
  core.is_draining = true;
  // Waited for, so that nobody can connect any more when this returns.
  std::promise<void> closed;
  threads.front()->mailbox->post([this, &closed] {
    IoError ignored;
    acceptor.close(ignored);
    accept_pause.cancel();
    closed.set_value();
  });
  closed.get_future().wait();
  for (const auto& thread : threads) thread->drain();
}

void Server::Impl::stop(Duration patience) {
  if (!is_started || std::exchange(is_stopped, true)) return;
  drain();
  for (const auto& thread : threads) thread->end_streams();
  core.wait_until_closed(patience);
  for (const auto& thread : threads) thread->shut_down();
  for (const auto& thread : threads) thread->join();
}

Result<void> Server::check_address(std::string_view text) {
  SKEP_TRY(parse_listen(text));
  return ok();
}

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Logger log, Handler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(log), std::move(handler));
  const TlsServerOptions& tls = impl->core.options.tls;
  if (!tls.certificate_file.empty()) {
    SKEP_TRY(impl->core.tls, ServerTls::make(tls, impl->core.log));
  }
  SKEP_TRY(impl->bind());
  impl->start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop(Duration::zero());
}

int Server::port() const {
  return impl_->bound.port();
}

std::string Server::address() const {
  const asio::ip::address address = impl_->bound.address();
  const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return host + ":" + std::to_string(port());
}

void Server::drain() {
  impl_->drain();
}

void Server::stop(Duration patience) {
  impl_->stop(patience);
}

Server::Stats Server::stats() const {
  return {impl_->core.open_connections(), impl_->core.requests, impl_->core.refused};
}

}  // namespace skep::http
