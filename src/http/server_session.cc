// SPDX-License-Identifier: Apache-2.0
// Reading: from bytes to a request for the handler, one at a time.
#include <boost/asio/error.hpp>

#include "http/internal_server.h"

namespace skep::http {
namespace {

// While more than this waits to be sent, the next request of the connection is not looked at.
constexpr std::size_t kBacklogMax = 256 * 1024;
// One read of a chunked body; also the limit of one chunk's head.
constexpr std::size_t kChunkedCapacity = 64 * 1024;

const Body& empty_body() {
  static const Body body = std::make_shared<const std::string>();
  return body;
}

// A proxy may be sent "http://host/path"; what counts is the path.
std::string_view origin_form(std::string_view target) {
  const std::size_t scheme = target.starts_with("http://") ? 7 : target.starts_with("https://") ? 8 : 0;
  if (scheme == 0) return target;
  const std::size_t slash = target.find('/', scheme);
  return slash == std::string_view::npos ? "/" : target.substr(slash);
}

}  // namespace

Session::Session(IoThread& home, Connection socket, std::string peer, std::uint64_t number, bool is_counted)
    : home_(home),
      core_(home.core),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      number_(number),
      is_counted_(is_counted) {}

void Session::start() {
  begin_head();
  advance();
}

void Session::refuse_connection() {
  core_.log.debug("connection refused: too many", {{"peer", peer_}});
  reject(503,
         "this server has its maximum of " + std::to_string(core_.options.connections_max) + " connections");
  advance();
}

// Does all that can be done with what is here: the one place from which the connection goes on.
void Session::advance() {
  if (is_advancing_ || is_closed_) return;
  const auto self = shared_from_this();
  is_advancing_ = true;
  do {
    is_held_back_ = false;
    while (!is_closed_ && step()) {
    }
    if (!is_closed_) flush();
  } while (!is_closed_ && is_held_back_ && output_.size() < kBacklogMax);
  is_advancing_ = false;
  if (is_closed_) return;

  const bool needs_input = state_ == State::kHead || state_ == State::kBody || state_ == State::kChunked;
  if (is_at_end_ && needs_input && !is_held_back_) {
    if (output_.empty()) return close();
    state_ = State::kClosing;
  }
  if (core_.is_draining) close_if_idle();
  if (has_large_bodies_ && can_leave()) return leave();
  start_read();
}

// True if there may be more to do at once.
bool Session::step() {
  switch (state_) {
    case State::kHead:
      return step_head();
    case State::kBody:
      return step_body();
    case State::kChunked:
      return step_chunked();
    case State::kAnswering:
    case State::kStreaming:
      return false;
    case State::kClosing:
    case State::kLingering:
      input_.clear();
      return false;
  }
  return false;
}

void Session::begin_head() {
  state_ = State::kHead;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(core_.options.header_bytes_max));
  parser_->body_limit(core_.options.body_bytes_max);
  head_size_ = 0;
  has_request_begun_ = false;
  read_deadline_ = Steady::now() + core_.options.idle_timeout;
}

bool Session::step_head() {
  if (output_.size() >= kBacklogMax) {
    is_held_back_ = true;
    return false;
  }
  // Empty lines before a request are passed over (RFC 9112 section 2.2).
  while (!has_request_begun_ && !input_.empty() &&
         (input_.data().front() == '\r' || input_.data().front() == '\n')) {
    input_.consume(1);
  }
  if (input_.empty()) return false;
  if (!has_request_begun_) {
    has_request_begun_ = true;
    read_deadline_ = Steady::now() + core_.options.request_timeout;
  }
  ParseError error;
  const std::string_view bytes = input_.data();
  const std::size_t used = parser_->put(asio::const_buffer(bytes.data(), bytes.size()), error);
  input_.consume(used);
  head_size_ += used;
  if (error && error != HttpError::need_more) {
    refuse_parse(error);
    return false;
  }
  if (!parser_->is_header_done()) {
    if (head_size_ + input_.data().size() >= core_.options.header_bytes_max)
      refuse_parse(HttpError::header_limit);
    return false;
  }
  on_head();
  return true;
}

void Session::on_head() {
  if (head_size_ > core_.options.header_bytes_max) return refuse_parse(HttpError::header_limit);
  Result<Target> target = parse_target(origin_form(parser_->target));
  if (!target) return reject(400, target.error().message);
  target_ = std::move(target).value();
  begin_body();
}

void Session::begin_body() {
  const std::uint64_t size = parser_->content_length().value_or(0);
  has_large_bodies_ |= size >= kLargeBytes;
  if (parser_->chunked()) {
    parser_->eager(true);
    state_ = State::kChunked;
  } else if (size > 0) {
    body_.emplace(size);
    state_ = State::kBody;
  } else {
    return deliver(empty_body());
  }
  // A client that has begun its body does not wait for this.
  if (parser_->expects_continue && input_.empty()) output_.push("HTTP/1.1 100 Continue\r\n\r\n");
}

bool Session::step_body() {
  // What made us look was the socket taking more of an answer: the body is being written to.
  if (is_reading_ && is_reading_body_) return false;
  input_.consume(body_->append(input_.data()));
  if (body_->missing() > 0) return false;
  deliver(body_->take());
  return true;
}

bool Session::step_chunked() {
  if (input_.empty()) return false;
  ParseError error;
  const std::string_view bytes = input_.data();
  input_.consume(parser_->put(asio::const_buffer(bytes.data(), bytes.size()), error));
  if (error && error != HttpError::need_more) {
    refuse_parse(error);
    return false;
  }
  if (parser_->is_done()) {
    deliver(std::move(parser_->body));
    return true;
  }
  if (input_.data().size() >= kChunkedCapacity) reject(400, "the head of a chunk is too long");
  return false;
}

void Session::deliver(Body body) {
  state_ = State::kAnswering;
  read_deadline_ = kNoDeadline;
  ++turn_;
  core_.requests.fetch_add(1, std::memory_order_relaxed);

  Request request;
  request.method = parser_->method;
  request.path = std::move(target_.path);
  request.query = std::move(target_.query);
  request.headers = std::move(parser_->headers);
  request.body = std::move(body);
  request.peer_address = peer_;
  request.connection = number_;

  responder_ = std::make_shared<SessionAsker>();
  responder_->mailbox = home_.mailbox;
  responder_->session = weak_from_this();
  responder_->turn = turn_;
  responder_->stream_buffer_max = core_.options.stream_buffer_max;
  responder_->is_peer_gone = is_at_end_;
  core_.handler(std::move(request), Responder(responder_));
}

void Session::refuse_parse(ParseError error) {
  const ServerOptions& options = core_.options;
  if (parser_->refused_status != 0) return reject(parser_->refused_status, parser_->refused_detail);
  if (error == HttpError::body_limit) {
    return reject(
        413, "the body is larger than the limit of " + std::to_string(options.body_bytes_max) + " bytes");
  }
  if (error == HttpError::header_limit) {
    if (parser_->target.empty()) return reject(414, "the request line is too long");
    return reject(
        431, "the header is larger than the limit of " + std::to_string(options.header_bytes_max) + " bytes");
  }
  if (error == HttpError::bad_version) return reject(505, "this server speaks HTTP/1.1 and HTTP/1.0");
  reject(400, "the request is malformed: " + error.message());
}

void Session::reject(int status, std::string_view detail) {
  core_.refused.fetch_add(1, std::memory_order_relaxed);
  core_.log.debug("request refused", {{"peer", peer_}, {"status", status}, {"why", detail}});
  state_ = State::kClosing;
  read_deadline_ = kNoDeadline;
  must_linger_ = true;
  Response response = core_.problem(status, detail);
  if (status == 503) response.headers.set("Retry-After", "1");
  append_response(std::move(response), true);
}

void Session::start_read() {
  if (is_reading_ || is_at_end_ || is_closed_) return;
  is_reading_body_ = state_ == State::kBody;
  asio::mutable_buffer space;
  if (is_reading_body_) {
    space = body_->prepare();
  } else if (state_ == State::kHead) {
    // One byte more than the limit, so that a head of exactly the limit is told from a longer one.
    space = input_.prepare(core_.options.header_bytes_max + 1);
  } else {
    space = input_.prepare(state_ == State::kChunked ? kChunkedCapacity : InputBuffer::kCapacityMin);
  }
  // Full of requests that wait for their turn: the peer has to wait too.
  if (space.size() == 0) return;
  is_reading_ = true;
  socket_.async_read_some(
      space, [self = shared_from_this()](IoError error, std::size_t size) { self->on_read(error, size); });
}

void Session::on_read(IoError error, std::size_t size) {
  is_reading_ = false;
  if (is_closed_) return;
  if (std::exchange(is_leaving_, false) && error == asio::error::operation_aborted) return advance();
  if (error == asio::error::eof) {
    is_at_end_ = true;
    // Someone who listens to a stream or is being told that it is over has no reason to close one side only.
    if (state_ == State::kStreaming || state_ == State::kLingering) return close();
    if (responder_) responder_->is_peer_gone = true;
  } else if (error) {
    return close();
  } else if (is_reading_body_) {
    body_->commit(size);
  } else {
    input_.commit(size);
  }
  advance();
}

// Between two requests, and nothing of the next one is here.
bool Session::can_leave() const {
  return home_.can_send_on() && !is_closed_ && is_idle() && !is_at_end_ && !is_waiting_to_write_;
}

void Session::leave() {
  if (is_reading_) {
    // It comes back empty, or with the next request, which is served here then.
    if (std::exchange(is_leaving_, true)) return;
    IoError ignored;
    socket_.socket().cancel(ignored);
    return;
  }
  is_closed_ = true;
  home_.send_on(*this, socket_, number_);
}

bool Session::is_idle() const {
  return state_ == State::kHead && !has_request_begun_ && input_.empty() && output_.empty();
}

void Session::check_deadlines(Steady::time_point now) {
  if (is_closed_) return;
  if (write_deadline_ <= now) return close();
  if (read_deadline_ > now) return;
  // Who is still being sent an answer is not idle.
  if (state_ == State::kHead && !has_request_begun_ && !output_.empty()) return;
  if (state_ == State::kLingering || (state_ == State::kHead && !has_request_begun_)) return close();
  reject(408, "the request took longer than " + describe_duration(core_.options.request_timeout));
  advance();
}

void Session::close_if_idle() {
  if (is_closed_ || !is_idle()) return;
  // A request that has arrived and was not read yet would be reset: it is still served.
  IoError error;
  if (socket_.available(error) == 0) close();
}

void Session::close() {
  if (is_closed_) return;
  is_closed_ = true;
  if (responder_) responder_->is_peer_gone = true;
  if (stream_) stream_->is_over = true;
  IoError ignored;
  socket_.close(ignored);
  home_.forget(*this, is_counted_);
}

}  // namespace skep::http
