// SPDX-License-Identifier: Apache-2.0
// server.h - an HTTP/1.1 server: connections, limits, time-outs, keep-alive, pipelining, streams.
//
// The server parses, enforces its limits, calls the handler on one of its I/O threads (io_loop.h for another
// choice) and sends what the responder is given. The handler must not block; it answers now or later, from
// any thread. Requests of one connection are handled one after the other, in order. The server itself answers
// 400 (malformed), 408 (too slow), 413 (body), 414/431 (target, header), 417 (Expect), 501
// (Transfer-Encoding), 505 (version), and 503 with Retry-After when there are too many connections; these use
// Options::problem to make the body. Not here: skep nouns.
//
// Threads:   listen/stop/port from the owner's thread; Responder and Stream from any thread.
// Errors:    listen: kInvalid (address, certificate), kUnavailable (port taken, no permission) with one
// sentence. Ownership: the handler must outlive the server. A dropped Responder answers 500.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "http/io_loop.h"
#include "http/message.h"
#include "http/tls.h"

namespace skep::http {

// A response without an end, for server-sent events.
class Stream {
 public:
  virtual ~Stream() = default;
  // Queues `chunk`. False once the peer is gone or more than Options::stream_buffer_max waits unsent: give
  // up.
  virtual bool write(std::string chunk) = 0;
  virtual void close() = 0;
};

// Who asked: a connection of the server's, or what stands in its place where there are no sockets. Of the
// first three calls one comes, once.
class Asker {
 public:
  virtual ~Asker() = default;
  virtual void answer(UniqueFunction<Response()> make) = 0;
  virtual std::shared_ptr<Stream> open_stream(Response head) = 0;
  virtual void drop() = 0;  // nobody will answer
  virtual bool is_gone() const = 0;
};

// The one right to answer one request. Movable; answers 500 if destroyed unused.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Asker> asker);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();

  void send(Response response) &&;
  // The same with what `make` returns, which runs on the connection's thread; never if the connection is
  // gone.
  void send_made(UniqueFunction<Response()> make) &&;
  // Sends the head (chunked) and keeps the connection for the stream.
  std::shared_ptr<Stream> stream(Response head) &&;
  // True once the peer has closed its side: a long-poll need not be answered any more.
  bool is_peer_gone() const;

 private:
  std::shared_ptr<Asker> asker_;
};

using Handler = std::function<void(Request, Responder)>;

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT, [V6]:PORT; port 0 picks a free one
  TlsServerOptions tls;                // without a certificate: plain HTTP
  int threads = 1;                     // I/O threads; where there is a loop: 1 or 0, for large bodies
  // If given, a runner's thread is the I/O thread; a connection without TLS that has had a body of 16 KiB in
  // either direction goes on on the thread beside it.
  std::shared_ptr<IoLoop> loop;
  std::size_t body_bytes_max = std::size_t{1} << 20;
  std::size_t header_bytes_max = 16 * 1024;  // request line and fields together
  std::size_t connections_max = 10'000;
  std::size_t stream_buffer_max = std::size_t{1} << 20;
  Duration request_timeout = seconds(30);  // from the first byte of a request to its last
  Duration idle_timeout = seconds(75);     // between requests
  Duration send_timeout = seconds(30);
  // Makes the body and content type of an error that the server answers itself.
  std::function<Response(int status, std::string_view detail)> problem;
};

class Server {
 public:
  // Whether `text` has the form of an address to listen on. kInvalid: what is wrong with it.
  static Result<void> check_address(std::string_view text);
  static Result<std::unique_ptr<Server>> listen(ServerOptions options, Logger log, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  std::string address() const;  // "HOST:PORT" as bound

  // Stops accepting at once, closes idle connections, and asks the rest to close after their answer.
  void drain();
  // drain(), ends the streams, waits up to `patience` for unfinished requests, closes what is left and joins
  // the threads. Idempotent.
  void stop(Duration patience);

  struct Stats {
    std::size_t connections = 0;
    std::uint64_t requests = 0;
    std::uint64_t refused = 0;  // requests and connections that the server answered itself
  };
  Stats stats() const;  // any thread

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::http
