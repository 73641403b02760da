// SPDX-License-Identifier: Apache-2.0
// Writing: answers and streams, in the order of their requests.
#include <array>
#include <boost/asio/error.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "http/internal_server.h"
#include "http/internal_text.h"

namespace skep::http {
namespace {

// How long a peer may go on sending what nobody reads any more.
constexpr Duration kLinger = seconds(2);

bool has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

std::string to_hex(std::size_t number) {
  std::array<char, 16> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return {digits.data(), end};
}

}  // namespace

bool Session::is_last_turn() const {
  return !parser_->keep_alive() || core_.is_draining || is_at_end_;
}

std::string Session::make_head(const Response& response, bool is_last, bool is_stream) {
  const boost::beast::string_view reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  std::string head;
  head.reserve(256);
  head += "HTTP/1.1 ";
  head += std::to_string(response.status);
  head += ' ';
  head.append(reason.data(), reason.size());
  head += "\r\nDate: ";
  head += home_.date();
  head += "\r\n";
  append_fields(head, response.headers);
  const bool is_old = parser_ && parser_->is_http_1_0;
  if (is_stream) {
    if (!is_old) head += "Transfer-Encoding: chunked\r\n";
  } else if (!has_no_body(response.status)) {
    head += "Content-Length: ";
    head += std::to_string(response.body ? response.body->size() : 0);
    head += "\r\n";
  }
  if (is_last) {
    head += "Connection: close\r\n";
  } else if (is_old) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

void Session::append_response(Response response, bool is_last) {
  if (response.body) has_large_bodies_ |= response.body->size() >= kLargeBytes;
  std::string head = make_head(response, is_last, false);
  const bool is_bare = has_no_body(response.status) || (parser_ && parser_->method == Method::kHead);
  output_.push(std::move(head), is_bare ? nullptr : std::move(response.body));
}

void Session::respond(std::uint64_t turn, Response response) {
  if (is_closed_ || state_ != State::kAnswering || turn != turn_) return;
  const bool is_last = is_last_turn();
  append_response(std::move(response), is_last);
  end_turn(is_last);
}

void Session::respond_dropped(std::uint64_t turn) {
  if (is_closed_ || state_ != State::kAnswering || turn != turn_) return;
  core_.log.debug("request dropped without an answer", {{"peer", peer_}});
  respond(turn, core_.problem(500, "the request was dropped without an answer"));
}

void Session::end_turn(bool is_last) {
  responder_ = nullptr;
  if (is_last) {
    state_ = State::kClosing;
  } else {
    begin_head();
  }
  advance();
}

void Session::open_stream(std::uint64_t turn, Response head, std::shared_ptr<StreamState> stream) {
  if (is_closed_ || state_ != State::kAnswering || turn != turn_ || is_at_end_) {
    stream->is_over = true;
    return respond_dropped(turn);
  }
  is_stream_last_ = is_last_turn() || parser_->is_http_1_0;
  stream_ = std::move(stream);
  stream_queued_ = 0;
  state_ = State::kStreaming;
  output_.push(make_head(head, is_stream_last_, true));
  if (head.body && !head.body->empty()) push_chunk(*head.body);
  if (parser_->method == Method::kHead) return close_stream(turn);
  advance();
}

void Session::push_chunk(std::string_view chunk) {
  if (parser_->is_http_1_0) {
    output_.push(std::string(chunk));
    return;
  }
  std::string framed = to_hex(chunk.size());
  framed.reserve(framed.size() + chunk.size() + 4);
  framed += "\r\n";
  framed += chunk;
  framed += "\r\n";
  output_.push(std::move(framed));
}

void Session::write_stream(std::uint64_t turn, std::string chunk) {
  if (is_closed_ || state_ != State::kStreaming || turn != turn_) return;
  stream_queued_ += chunk.size();
  push_chunk(chunk);
  advance();
}

void Session::close_stream(std::uint64_t turn) {
  if (is_closed_ || state_ != State::kStreaming || turn != turn_) return;
  if (!parser_->is_http_1_0 && parser_->method != Method::kHead) output_.push("0\r\n\r\n");
  stream_->is_over = true;
  stream_ = nullptr;
  end_turn(is_stream_last_ || core_.is_draining);
}

// The stream has a gap: the peer must notice, so the connection ends without the last chunk.
void Session::abort_stream(std::uint64_t turn) {
  if (!is_closed_ && state_ == State::kStreaming && turn == turn_) close();
}

// Writes until all is sent or the socket takes no more. The socket does not block, and trying first saves a
// round through the poller for nearly every answer.
void Session::flush() {
  if (is_waiting_to_write_) return;
  while (!output_.empty()) {
    IoError error;
    const std::size_t sent = socket_.write_some(output_.buffers(), error);
    if (error == asio::error::would_block || error == asio::error::try_again) return wait_to_write();
    if (error == asio::error::interrupted) continue;
    if (error) return close();
    on_sent(sent);
  }
  write_deadline_ = kNoDeadline;
  if (std::exchange(has_waited_to_write_, false) && state_ == State::kHead && !has_request_begun_) {
    read_deadline_ = Steady::now() + core_.options.idle_timeout;
  }
  if (state_ == State::kClosing) finish();
}

void Session::on_sent(std::size_t size) {
  output_.consume(size);
  write_deadline_ = kNoDeadline;
  if (!stream_) return;
  // Framing counts as payload here; the queue running empty puts that right.
  const std::size_t done = output_.empty() ? stream_queued_ : std::min(size, stream_queued_);
  stream_queued_ -= done;
  stream_->unsent -= done;
}

void Session::wait_to_write() {
  is_waiting_to_write_ = has_waited_to_write_ = true;
  if (write_deadline_ == kNoDeadline) write_deadline_ = Steady::now() + core_.options.send_timeout;
  socket_.async_wait(Tcp::socket::wait_write, [self = shared_from_this()](IoError error) {
    self->is_waiting_to_write_ = false;
    if (error) return self->close();
    self->advance();
  });
}

// The last answer is sent. Closing a socket with unread input resets the connection, and the peer could lose
// the answer: then only our side is closed, and the rest is read for a while.
void Session::finish() {
  IoError ignored;
  const bool has_unread_input = must_linger_ || !input_.empty() || socket_.available(ignored) > 0;
  if (is_at_end_ || !has_unread_input) return close();
  state_ = State::kLingering;
  read_deadline_ = Steady::now() + kLinger;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
}

}  // namespace skep::http
