// SPDX-License-Identifier: Apache-2.0
// internal_client.h - the parts of the client: idle connections, and one exchange of a request for its
// response. For the client*.cc files alone.
//
// Threads:   the client's own thread.
// Ownership: ClientCore owns the exchanges under way and the idle connections.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/client.h"
#include "http/internal_buffer.h"
#include "http/internal_parser.h"
#include "http/internal_stream.h"

namespace skep::http {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using IoError = boost::system::error_code;
using Steady = std::chrono::steady_clock;

class Exchange;

// Connections that wait for their next request, by scheme, host and port.
class IdleConnections {
 public:
  IdleConnections(asio::io_context& io, const ClientOptions& options) : options_(options), sweep_timer_(io) {}

  // The one used last that is young enough and that the server has not closed.
  std::optional<Connection> take(const std::string& place);
  void put(const std::string& place, Connection connection);
  void close_all();

 private:
  struct Idle {
    Connection socket;
    Steady::time_point since;
  };
  void sweep_later();

  const ClientOptions& options_;
  std::map<std::string, std::vector<Idle>> by_place_;
  asio::steady_timer sweep_timer_;
  bool is_sweeping_ = false;
};

struct ClientCore {
  explicit ClientCore(ClientOptions o) : options(std::move(o)) {}

  const ClientOptions options;
  asio::io_context io{1};
  ClientTls tls{options.tls};
  IdleConnections idle{io, options};
  std::unordered_map<Exchange*, std::shared_ptr<Exchange>> exchanges;
};

// One request. Failing at any point ends in done() exactly once.
class Exchange final : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(ClientCore& core, Url url, ClientRequest request, Client::Done done);

  // `remaining`: until the deadline; nothing is no deadline.
  void start(std::optional<Duration> remaining);
  void fail_with(Code code, std::string_view sentence);

 private:
  void connect();
  void resolve();
  void connect_to(std::vector<Tcp::endpoint> endpoints);
  void on_connected(const IoError& error);
  void begin(Connection socket, bool is_reused);
  void flush();
  void start_read();
  void on_read(const IoError& error, std::size_t size);
  void parse();
  bool parse_step();
  bool on_head();
  void on_deadline();
  void on_lost(const IoError& error);
  void on_bad_answer(std::string_view why);
  void succeed(Body body);
  void end();

  bool is_sent() const { return output_.empty(); }

  ClientCore& core_;
  const Url url_;
  const std::string host_port_;
  const std::string place_;  // of its connections
  const ClientRequest request_;
  Client::Done done_;
  asio::steady_timer deadline_timer_;
  asio::steady_timer connect_timer_;
  Tcp::resolver resolver_;
  std::optional<Tcp::socket> connecting_;
  std::optional<Connection> socket_;
  // Raised for each connection tried; callbacks of an earlier one are ignored.
  int attempt_ = 0;
  bool is_connected_ = false;
  bool is_reused_ = false;
  bool is_waiting_to_write_ = false;
  bool is_write_broken_ = false;
  bool is_reading_body_ = false;
  bool is_at_end_ = false;
  OutputQueue output_;
  std::size_t sent_ = 0;
  InputBuffer input_;
  std::optional<ResponseParser> parser_;
  std::optional<BodyBuffer> body_;
};

}  // namespace skep::http
