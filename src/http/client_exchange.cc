// SPDX-License-Identifier: Apache-2.0
// One request and its response on one connection, at most two if the first turns out to be dead before
// anything is sent.
#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>

#include "http/internal_client.h"
#include "http/internal_text.h"

namespace skep::http {
namespace {

constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kInputCapacity = 64 * 1024;

std::string make_head(const Url& url, const ClientRequest& request, const std::string& bearer) {
  const std::size_t size = request.body ? request.body->size() : 0;
  std::string head;
  head.reserve(256);
  head += method_name(request.method);
  head += ' ';
  head += url.base_path;
  head += request.target;
  head += " HTTP/1.1\r\n";
  append_field(head, "Host", url.host_port());
  if (request.headers.find("User-Agent") == nullptr) append_field(head, "User-Agent", "skep/" SKEP_VERSION);
  if (!bearer.empty()) append_field(head, "Authorization", "Bearer " + bearer);
  append_fields(head, request.headers);
  const bool has_body_by_nature =
      request.method == Method::kPut || request.method == Method::kPost || request.method == Method::kPatch;
  if (size > 0 || has_body_by_nature) append_field(head, "Content-Length", std::to_string(size));
  head += "\r\n";
  return head;
}

bool is_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; });
}

}  // namespace

Exchange::Exchange(ClientCore& core, Url url, ClientRequest request, Client::Done done)
    : core_(core),
      url_(std::move(url)),
      host_port_(url_.host_port()),
      place_((url_.is_tls ? "https://" : "http://") + host_port_),
      request_(std::move(request)),
      done_(std::move(done)),
      deadline_timer_(core.io),
      connect_timer_(core.io),
      resolver_(core.io) {}

void Exchange::start(std::optional<Duration> remaining) {
  core_.exchanges.emplace(this, shared_from_this());
  if (!request_.target.starts_with('/') || !is_line(request_.target) || request_.method == Method::kOther) {
    return fail_with(Code::kInvalid, "the request for " + host_port_ + " has a malformed target or method");
  }
  if (remaining) {
    if (*remaining <= Duration::zero()) return on_deadline();
    deadline_timer_.expires_after(*remaining);
    deadline_timer_.async_wait([self = shared_from_this()](IoError stopped) {
      if (!stopped) self->on_deadline();
    });
  }
  if (std::optional<Connection> idle = core_.idle.take(place_)) return begin(std::move(*idle), true);
  connect();
}

void Exchange::connect() {
  ++attempt_;
  connect_timer_.expires_after(core_.options.connect_timeout);
  connect_timer_.async_wait([self = shared_from_this()](IoError stopped) {
    if (stopped || self->is_connected_) return;
    self->fail_with(Code::kUnavailable, "no connection to " + self->host_port_ + " within " +
                                            describe_duration(self->core_.options.connect_timeout));
  });
  IoError error;
  const asio::ip::address address = asio::ip::make_address(url_.host, error);
  if (error) return resolve();
  connect_to({Tcp::endpoint(address, static_cast<std::uint16_t>(url_.port))});
}

void Exchange::resolve() {
  resolver_.async_resolve(
      url_.host, std::to_string(url_.port),
      [self = shared_from_this()](const IoError& error, const Tcp::resolver::results_type& found) {
        if (!self->done_) return;
        if (error) {
          return self->fail_with(Code::kUnavailable, "no address is known for " + self->url_.host);
        }
        std::vector<Tcp::endpoint> endpoints;
        for (const auto& entry : found) endpoints.push_back(entry.endpoint());
        self->connect_to(std::move(endpoints));
      });
}

void Exchange::connect_to(std::vector<Tcp::endpoint> endpoints) {
  connecting_.emplace(core_.io);
  asio::async_connect(
      *connecting_, endpoints,
      [self = shared_from_this()](const IoError& error, const Tcp::endpoint&) { self->on_connected(error); });
}

void Exchange::on_connected(const IoError& error) {
  if (!done_) return;
  if (error) {
    return fail_with(Code::kUnavailable, "cannot connect to " + host_port_ + ": " + error.message());
  }
  connect_timer_.cancel();
  IoError ignored;
  connecting_->set_option(Tcp::no_delay(true), ignored);
  connecting_->non_blocking(true, ignored);
  std::shared_ptr<TlsSession> tls;
  if (url_.is_tls) {
    auto session = core_.tls.connect(connecting_->native_handle(), url_.host);
    if (!session) return fail_with(session.error().code, session.error().message);
    tls = std::move(session.value());
  }
  begin(Connection(std::move(*connecting_), std::move(tls)), false);
}

void Exchange::begin(Connection socket, bool is_reused) {
  ++attempt_;
  socket_.emplace(std::move(socket));
  is_connected_ = true;
  is_reused_ = is_reused;
  output_ = OutputQueue();
  const auto& bearer = core_.options.bearer;
  output_.push(make_head(url_, request_, bearer ? bearer() : std::string()), request_.body);
  parser_.emplace();
  parser_->header_limit(kHeadBytesMax);
  parser_->body_limit(core_.options.body_bytes_max);
  if (request_.method == Method::kHead) parser_->skip(true);
  const int attempt = attempt_;
  flush();
  // Reading begins at once: a server may refuse a body before it has it all.
  if (done_ && attempt == attempt_) start_read();
}

void Exchange::flush() {
  if (is_waiting_to_write_ || is_write_broken_) return;
  while (!output_.empty()) {
    IoError error;
    const std::size_t sent = socket_->write_some(output_.buffers(), error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      is_waiting_to_write_ = true;
      socket_->async_wait(Tcp::socket::wait_write,
                          [self = shared_from_this(), attempt = attempt_](const IoError& stopped) {
                            if (!self->done_ || attempt != self->attempt_) return;
                            self->is_waiting_to_write_ = false;
                            if (!stopped) self->flush();
                          });
      return;
    }
    if (error == asio::error::interrupted) continue;
    if (error && sent_ == 0) return on_lost(error);
    // Part of it went out: the server may have answered before it closed, and the read will tell.
    is_write_broken_ = static_cast<bool>(error);
    if (error) return;
    sent_ += sent;
    output_.consume(sent);
  }
}

void Exchange::start_read() {
  is_reading_body_ = body_.has_value();
  const asio::mutable_buffer space = is_reading_body_ ? body_->prepare() : input_.prepare(kInputCapacity);
  if (space.size() == 0) return on_bad_answer("its header is too large");
  socket_->async_read_some(
      space, [self = shared_from_this(), attempt = attempt_](const IoError& error, std::size_t size) {
        if (self->done_ && attempt == self->attempt_) self->on_read(error, size);
      });
}

void Exchange::on_read(const IoError& error, std::size_t size) {
  if (error == asio::error::eof) {
    is_at_end_ = true;
    ParseError incomplete;
    if (!parser_->got_some() || !parser_->is_header_done() || body_) return on_lost(error);
    parser_->put_eof(incomplete);
    if (incomplete) return on_lost(error);
    return succeed(std::move(parser_->body));
  }
  if (error) return on_lost(error);
  if (is_reading_body_) {
    body_->commit(size);
  } else {
    input_.commit(size);
  }
  parse();
}

void Exchange::parse() {
  while (done_ && parse_step()) {
  }
  if (done_) start_read();
}

// True if there may be more to do with what is here.
bool Exchange::parse_step() {
  if (body_) {
    input_.consume(body_->append(input_.data()));
    if (body_->missing() > 0) return false;
    succeed(body_->take());
    return false;
  }
  if (input_.empty()) return false;
  ParseError error;
  const std::string_view bytes = input_.data();
  input_.consume(parser_->put(asio::const_buffer(bytes.data(), bytes.size()), error));
  if (error == HttpError::body_limit) {
    on_bad_answer("its body is larger than " + describe_bytes(core_.options.body_bytes_max));
    return false;
  }
  if (error && error != HttpError::need_more) {
    on_bad_answer(error.message());
    return false;
  }
  if (!parser_->is_header_done()) return false;
  if (!parser_->eager()) return on_head();
  if (parser_->is_done()) succeed(std::move(parser_->body));
  return false;
}

bool Exchange::on_head() {
  if (parser_->status >= 100 && parser_->status < 200) {
    parser_.emplace();  // 100 Continue and the like: the answer is still to come
    parser_->header_limit(kHeadBytesMax);
    parser_->body_limit(core_.options.body_bytes_max);
    if (request_.method == Method::kHead) parser_->skip(true);
    return true;
  }
  if (parser_->is_done()) {
    succeed(std::move(parser_->body));
    return false;
  }
  const auto size = parser_->content_length();
  if (size && !parser_->chunked()) {
    body_.emplace(*size);
  } else {
    parser_->eager(true);
  }
  return true;
}

void Exchange::on_deadline() {
  if (!is_sent() || sent_ == 0) {
    return fail_with(Code::kTimeout, "the deadline passed before the request was sent to " + host_port_);
  }
  fail_with(Code::kUnknownOutcome, "no answer from " + host_port_ + " before the deadline");
}

// The connection is gone and there is no whole answer.
void Exchange::on_lost(const IoError& error) {
  if (is_reused_ && sent_ == 0) {
    // It died while it was idle, and nothing of this request was sent: a fresh one may serve.
    is_connected_ = false;
    is_waiting_to_write_ = false;
    IoError ignored;
    socket_->close(ignored);
    return connect();
  }
  const std::string problem = socket_->problem();
  if (socket_->is_untrusted()) return fail_with(Code::kUnauthenticated, host_port_ + ": " + problem);
  if (!problem.empty() && sent_ == 0) return fail_with(Code::kUnavailable, host_port_ + ": " + problem);
  const std::string reason = error == asio::error::eof ? "it closed the connection" : error.message();
  if (!is_sent()) {
    return fail_with(Code::kUnavailable, "the request was not sent whole to " + host_port_ + ": " + reason);
  }
  fail_with(Code::kUnknownOutcome, "no answer from " + host_port_ + ": " + reason);
}

void Exchange::on_bad_answer(std::string_view why) {
  fail_with(Code::kUnknownOutcome, "the answer of " + host_port_ + " cannot be used: " + std::string(why));
}

void Exchange::succeed(Body body) {
  if (!done_) return;
  Response response;
  response.status = parser_->status;
  response.headers = std::move(parser_->headers);
  response.body = std::move(body);
  const bool is_reusable = parser_->keep_alive() && !is_at_end_ && is_sent() && input_.empty();
  if (is_reusable) core_.idle.put(place_, std::move(*socket_));
  end();
  std::exchange(done_, nullptr)(std::move(response));
}

void Exchange::fail_with(Code code, std::string_view sentence) {
  if (!done_) return;
  end();
  std::exchange(done_, nullptr)(fail(code, std::string(sentence)));
}

void Exchange::end() {
  ++attempt_;
  deadline_timer_.cancel();
  connect_timer_.cancel();
  resolver_.cancel();
  IoError ignored;
  if (connecting_ && connecting_->is_open()) connecting_->close(ignored);
  if (socket_ && socket_->is_open()) socket_->close(ignored);
  core_.exchanges.erase(this);
}

}  // namespace skep::http
