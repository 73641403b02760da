// SPDX-License-Identifier: Apache-2.0
// internal_stream.h - a connection, with TLS or without, that reads and writes as a socket of Asio does. For
// the files of http alone.
//
// Without TLS each call is the socket's own.
//
// Threads:   one executor at a time.
// Errors:    as Asio's; problem() has TLS's own words.
// Ownership: movable while nothing is under way.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "http/internal_tls.h"

namespace skep::http {

class Connection {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Failure = boost::system::error_code;

  // `tls` null: without.
  explicit Connection(Socket socket, std::shared_ptr<TlsSession> tls = nullptr)
      : socket_(std::move(socket)), tls_(std::move(tls)) {}
  Connection(Connection&&) = default;
  Connection& operator=(Connection&&) = default;
  ~Connection() { forget_reader(); }

  // `space` stays where it is, and the connection too, until the handler has run.
  template <class Handler>
  void async_read_some(boost::asio::mutable_buffer space, Handler handler) {
    if (!tls_) return socket_.async_read_some(space, std::move(handler));
    reader_ = std::make_shared<Connection*>(this);
    wait_for_input(space, TlsStatus::kWantsRead, true, std::move(handler));
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, Failure& error) {
    return tls_ ? write_records(buffers, error) : socket_.write_some(buffers, error);
  }

  // After write_some() said that it would block.
  template <class Handler>
  void async_wait(Socket::wait_type what, Handler handler) {
    socket_.async_wait(waits_to_read_ ? Socket::wait_read : what, std::move(handler));
  }

  std::size_t available(Failure& error) const {
    const std::size_t size = socket_.available(error);
    return tls_ && tls_->has_input() ? size + 1 : size;
  }
  void shutdown(Socket::shutdown_type what, Failure& error) {
    if (tls_) tls_->close();
    socket_.shutdown(what, error);
  }
  void close(Failure& error) {
    if (tls_ && socket_.is_open()) tls_->close();
    forget_reader();
    socket_.close(error);
  }
  bool is_open() const { return socket_.is_open(); }
  Socket& socket() { return socket_; }

  std::string problem() const { return tls_ ? tls_->problem() : std::string(); }
  bool is_untrusted() const { return tls_ && tls_->is_untrusted(); }

 private:
  // What TLS puts into one record at most.
  static constexpr std::size_t kRecordBytes = 16 * 1024;
  using Reader = std::function<void(Failure, std::size_t)>;

  Failure failure_of(TlsStatus status) const {
    if (status == TlsStatus::kEnd) return boost::asio::error::eof;
    if (status != TlsStatus::kFailed) return boost::asio::error::would_block;
    if (tls_->problem().empty() && tls_->os_error() != 0 && tls_->os_error() != EAGAIN) {
      return {tls_->os_error(), boost::system::system_category()};
    }
    return boost::asio::error::connection_reset;
  }

  // Out of the way of connections without TLS.
  template <class Buffers>
  [[gnu::noinline]] std::size_t write_records(const Buffers& buffers, Failure& error) {
    std::array<char, kRecordBytes> record;
    std::size_t size = 0;
    for (const auto& buffer : buffers) {
      const std::size_t taken = std::min(buffer.size(), record.size() - size);
      std::memcpy(record.data() + size, buffer.data(), taken);
      size += taken;
      if (size == record.size()) break;
    }
    std::size_t written = 0;
    const TlsStatus status = tls_->write(record.data(), size, written);
    waits_to_read_ = status == TlsStatus::kWantsRead;
    error = status == TlsStatus::kDone ? Failure() : failure_of(status);
    return written;
  }

  void wait_for_input(boost::asio::mutable_buffer space, TlsStatus wanted, bool is_first, Reader handler) {
    auto go_on = [reader = std::weak_ptr(reader_), space,
                  handler = std::move(handler)](Failure error) mutable {
      const auto alive = reader.lock();
      if (!error && !alive) error = boost::asio::error::operation_aborted;
      if (error) return handler(error, 0);
      (*alive)->read(space, std::move(handler));
    };
    // What TLS has already is not seen by waiting for the socket. After a read that wanted more it is a part
    // of a record, and no input.
    if (is_first && tls_->has_input()) {
      boost::asio::post(socket_.get_executor(), [go_on = std::move(go_on)]() mutable { go_on({}); });
    } else {
      socket_.async_wait(wanted == TlsStatus::kWantsWrite ? Socket::wait_write : Socket::wait_read,
                         std::move(go_on));
    }
  }

  void read(boost::asio::mutable_buffer space, Reader handler) {
    std::size_t filled = 0;
    const TlsStatus status = tls_->read(static_cast<char*>(space.data()), space.size(), filled);
    if (status == TlsStatus::kWantsRead || status == TlsStatus::kWantsWrite) {
      return wait_for_input(space, status, false, std::move(handler));
    }
    forget_reader();
    handler(status == TlsStatus::kDone ? Failure() : failure_of(status), filled);
  }

  // A handler that is on its way finds that the connection is gone.
  void forget_reader() { reader_.reset(); }

  Socket socket_;
  std::shared_ptr<TlsSession> tls_;
  std::shared_ptr<Connection*> reader_;  // of the read that is under way
  bool waits_to_read_ = false;
};

}  // namespace skep::http
