// SPDX-License-Identifier: Apache-2.0
// client.h - an HTTP/1.1 client: pooled keep-alive connections, a deadline for every call.
//
// No skep nouns. Nothing that was sent is sent again; an idle connection that turns out to be dead before any
// byte of a request went out is replaced once.
//
// Threads:   send and send_wait from any thread; replies run on the executor given.
// Errors:    kInvalid (URL, target, authorities), kUnauthenticated (the server's certificate is not trusted,
// or
//            is of another name: nothing was sent), kUnavailable (not connected, or lost before all was
//            sent), kTimeout (deadline before all was sent), kUnknownOutcome (sent, but no usable answer
//            arrived: reset, deadline, malformed, over body_bytes_max). A status of 4xx or 5xx is an answer,
//            not an error.
// Ownership: owns its thread and connections; the destructor fails what is under way with kUnavailable and
//            joins; it waits for a look-up of a host name that is under way.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "http/message.h"
#include "http/tls.h"

namespace skep::http {

struct Url {
  std::string host;
  int port = 80;
  std::string base_path;  // "" or "/prefix", no trailing '/'
  bool is_tls = false;
  std::string host_port() const;  // "host:port", "[v6]:port"
};

// "http://host[:port][/prefix]", the same with https, or "host[:port]". kInvalid with a sentence otherwise.
Result<Url> parse_url(std::string_view text);

struct ClientRequest {
  Method method = Method::kGet;
  std::string target;  // already percent-encoded path and query, begins with '/'
  Headers headers;
  Body body;  // null is empty
};

struct ClientOptions {
  std::size_t body_bytes_max = std::size_t{1} << 30;
  std::size_t idle_connections_max = 8;  // kept per host
  Duration idle_timeout = seconds(30);   // an idle connection older than this is not reused
  Duration connect_timeout = seconds(5);
  TlsClientOptions tls;
  // What each request is sent with as "Authorization: Bearer", as it is then; "" is none. Called on the
  // client's thread.
  std::function<std::string()> bearer;
};

class Client {
 public:
  using Done = UniqueFunction<void(Result<Response>)>;

  Client(const Clock& clock, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Sends to `url`. `done` runs exactly once, on `reply_on`. Deadlines are instants of the clock given.
  void send(Url url, ClientRequest request, Instant deadline, Executor& reply_on, Done done);

  // The same, and waits. Not from an executor.
  Result<Response> send_wait(const Url& url, ClientRequest request, Instant deadline);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace skep::http
