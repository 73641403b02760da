// SPDX-License-Identifier: Apache-2.0
// What the threads of a server share, and one I/O thread with its connections.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "http/internal_server.h"

namespace skep::http {
namespace {

// Connections over the limit are told so, but only this many at a time; more are closed without a word.
constexpr std::size_t kUncountedMax = 256;

// Deadlines are looked at this often: a quarter of the shortest, within bounds.
Duration sweep_interval(const ServerOptions& options) {
  const Duration shortest = std::min({options.request_timeout, options.idle_timeout, options.send_timeout});
  return std::clamp<Duration>(shortest / 4, milliseconds(10), seconds(1));
}

std::string peer_name(const Tcp::endpoint& peer) {
  const asio::ip::address address = peer.address();
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

// RFC 9110 section 5.6.7, independent of the locale.
std::string http_date(std::time_t second) {
  constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&second, &utc);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                utc.tm_sec);
  return text.data();
}

}  // namespace

Response ServerCore::problem(int status, std::string_view detail) const {
  if (options.problem) return options.problem(status, detail);
  return Response::text(status, "text/plain; charset=utf-8", std::string(detail) + "\n");
}

bool ServerCore::try_open() {
  const MutexLock lock(mutex_);
  if (connections_ >= options.connections_max) return false;
  ++connections_;
  return true;
}

void ServerCore::closed() {
  const MutexLock lock(mutex_);
  --connections_;
  if (connections_ == 0) changed_.notify_all();
}

void ServerCore::wait_until_closed(Duration patience) {
  const Steady::time_point end = Steady::now() + std::clamp<Duration>(patience, Duration::zero(), hours(24));
  const MutexLock lock(mutex_);
  for (Steady::time_point now = Steady::now(); connections_ > 0 && now < end; now = Steady::now()) {
    changed_.wait_for(mutex_, end - now);
  }
}

std::size_t ServerCore::open_connections() {
  const MutexLock lock(mutex_);
  return connections_;
}

bool Mailbox::post(UniqueFunction<void()> work) {
  const MutexLock lock(mutex_);
  if (io_ == nullptr) return false;
  posted_.push_back(std::move(work));
  if (posted_.size() == 1) asio::post(*io_, [self = shared_from_this()] { self->run_posted(); });
  return true;
}

void Mailbox::close() {
  const MutexLock lock(mutex_);
  io_ = nullptr;
}

void Mailbox::run_posted() {
  std::vector<UniqueFunction<void()>> works;
  {
    const MutexLock lock(mutex_);
    works.swap(posted_);
  }
  for (auto& work : works) work();
}

IoThread::IoThread(ServerCore& c, int number, std::shared_ptr<IoLoop> runner_loop)
    : core(c),
      loop(runner_loop == nullptr ? std::make_shared<IoLoop>() : runner_loop),
      io(loop->impl().io),
      number_(number),
      is_on_runner_(runner_loop != nullptr),
      sweep_interval_(sweep_interval(c.options)) {}

void IoThread::start(IoThread* large) {
  if (is_on_runner_) {
    mailbox->post([this, large] {
      large_ = large;
      mailbox->set_thread(std::this_thread::get_id());
      sweep_later();
    });
    return;
  }
  sweep_later();
  thread_ = std::thread([this]() noexcept {
    mailbox->set_thread(std::this_thread::get_id());
    pthread_setname_np(pthread_self(), ("http-" + std::to_string(number_)).substr(0, 15).c_str());
    io.run();
  });
}

void IoThread::drain() {
  mailbox->post([this] {
    for (const auto& session : all_sessions()) session->close_if_idle();
  });
}

void IoThread::end_streams() {
  mailbox->post([this] {
    for (const auto& session : all_sessions()) session->end_stream();
  });
}

void IoThread::shut_down() {
  mailbox->post([this] {
    is_shut_down_ = true;
    mailbox->close();
    for (const auto& session : all_sessions()) session->close();
    sweep_timer_.cancel();
    if (!is_on_runner_) return loop->impl().work.reset();
    // After the last callbacks of what was closed here, which are in the line already.
    asio::post(io, [ended = ended_] { ended->set_value(); });
  });
}

void IoThread::join() {
  if (!is_on_runner_) return thread_.join();
  ended_->get_future().wait();
}

void IoThread::adopt(Tcp::socket socket, bool is_over_limit) {
  IoError error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (!error) socket.set_option(Tcp::no_delay(true), error);
  if (!error) socket.non_blocking(true, error);
  const bool is_unwanted =
      is_shut_down_ || core.is_draining || (is_over_limit && uncounted_sessions_ >= kUncountedMax);
  if (error || is_unwanted) {
    if (is_over_limit) core.refused.fetch_add(1, std::memory_order_relaxed);
    if (!is_over_limit) core.closed();
    return;
  }
  std::shared_ptr<TlsSession> tls;
  if (core.tls) tls = core.tls->accept(socket.native_handle());
  const auto session = std::make_shared<Session>(*this, Connection(std::move(socket), std::move(tls)),
                                                 peer_name(peer), core.next_number(), !is_over_limit);
  sessions_.emplace(session.get(), session);
  if (!is_over_limit) return session->start();
  ++uncounted_sessions_;
  session->refuse_connection();
}

void IoThread::send_on(Session& session, Connection& socket, std::uint64_t number) {
  sessions_.erase(&session);
  IoError error;
  const Tcp protocol = socket.socket().local_endpoint(error).protocol();
  const auto handle = socket.socket().release(error);
  if (error) return core.closed();
  Tcp::socket moved(large_->io);
  moved.assign(protocol, handle, error);
  if (error) {
    ::close(handle);
    return core.closed();
  }
  const bool is_sent = large_->mailbox->post([there = large_, number, moved = std::move(moved)]() mutable {
    there->take_over(std::move(moved), number);
  });
  if (!is_sent) core.closed();
}

void IoThread::take_over(Tcp::socket socket, std::uint64_t number) {
  IoError error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (!error) socket.non_blocking(true, error);
  if (error || is_shut_down_) return core.closed();
  const auto session =
      std::make_shared<Session>(*this, Connection(std::move(socket)), peer_name(peer), number, true);
  sessions_.emplace(session.get(), session);
  session->start();
}

void IoThread::forget(Session& session, bool is_counted) {
  sessions_.erase(&session);
  if (is_counted) {
    core.closed();
  } else {
    --uncounted_sessions_;
  }
}

std::string_view IoThread::date() {
  const std::time_t now = std::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    date_ = http_date(now);
  }
  return date_;
}

void IoThread::sweep_later() {
  sweep_timer_.expires_after(sweep_interval_);
  sweep_timer_.async_wait([this](IoError error) {
    if (error || is_shut_down_) return;
    sweep();
    sweep_later();
  });
}

void IoThread::sweep() {
  const Steady::time_point now = Steady::now();
  for (const auto& session : all_sessions()) session->check_deadlines(now);
}

// A copy: what is done with a session may take it out of the table.
std::vector<std::shared_ptr<Session>> IoThread::all_sessions() const {
  std::vector<std::shared_ptr<Session>> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [address, session] : sessions_) sessions.push_back(session);
  return sessions;
}

}  // namespace skep::http
