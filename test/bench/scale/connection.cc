// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace skep::bench {
namespace {

std::optional<long> number_at(std::string_view text) {
  long number = 0;
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() ? std::optional(number) : std::nullopt;
}

// Of a field of the head, by its lower-case name with the colon.
std::optional<long> field_number(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at)) {
    ++at;
    const std::string_view line = head.substr(at);
    const bool is_it =
        line.size() >= name.size() && std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
          return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
        });
    if (is_it) return number_at(line.substr(name.size()));
  }
  return std::nullopt;
}

}  // namespace

sockaddr_in parse_address(const std::string& host_port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const auto colon = host_port.rfind(':');
  const auto port = colon == std::string::npos ? std::nullopt : number_at(host_port.substr(colon + 1));
  if (!port || ::inet_pton(AF_INET, host_port.substr(0, colon).c_str(), &address.sin_addr) != 1)
    stop_with("'" + host_port + "' is not an address like 127.0.0.1:8080");
  address.sin_port = htons(static_cast<std::uint16_t>(*port));
  return address;
}

std::string post_of(std::string_view path, std::string_view body, bool is_message) {
  std::string request = "POST ";
  request.append(path).append(" HTTP/1.1\r\nHost: bench\r\n");
  request.append(is_message ? "Content-Type: application/x-protobuf\r\n"
                            : "Accept: application/x-protobuf\r\n");
  request.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return request;
}

void Connection::open() {
  close();
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) stop_with(std::string("socket: ") + std::strerror(errno));
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  is_connecting_ = true;
  const int done = ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_);
  if (done != 0 && errno != EINPROGRESS) {
    const std::string why = std::strerror(errno);
    // By way of the loop, so that the owner is not called within its own call.
    loop_.at(loop_.now(), [this, why] { end(why); });
    return;
  }
  waits_to_write_ = true;
  loop_.watch(descriptor_, *this, true);
}

void Connection::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  is_connecting_ = false;
  in_.clear();
  out_.clear();
  written_ = 0;
}

void Connection::end(const std::string& why) {
  close();
  owner_.on_closed(why);
}

void Connection::send(std::string request) {
  const bool was_idle = out_.empty();
  if (was_idle) {
    out_ = std::move(request);
  } else {
    out_ += request;
  }
  if (was_idle) write();
}

// What fails here is seen again by reading, so that the owner is not called within its own call.
void Connection::write() {
  while (written_ < out_.size()) {
    const ssize_t done =
        ::send(descriptor_, out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done <= 0) break;
    written_ += static_cast<std::size_t>(done);
  }
  const bool is_done = written_ == out_.size();
  if (is_done) {
    out_.clear();
    written_ = 0;
  }
  if (waits_to_write_ == !is_done) return;
  waits_to_write_ = !is_done;
  loop_.change(descriptor_, *this, waits_to_write_);
}

void Connection::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    end(std::strerror(error));
    return;
  }
  is_connecting_ = false;
  waits_to_write_ = false;
  loop_.change(descriptor_, *this, false);
  owner_.on_open();
}

void Connection::on_ready(bool can_read, bool can_write) {
  if (descriptor_ < 0) return;
  if (is_connecting_) {
    connected();
    return;
  }
  if (can_write && waits_to_write_) write();
  if (can_read) read();
}

void Connection::read() {
  std::array<char, 1 << 16> buffer;
  const ssize_t got = ::recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    end(got == 0 ? "the manager has closed the connection" : std::strerror(errno));
    return;
  }
  in_.append(buffer.data(), static_cast<std::size_t>(got));
  while (descriptor_ >= 0 && answer_one()) {
  }
}

bool Connection::answer_one() {
  const auto end_of_head = in_.find("\r\n\r\n");
  if (end_of_head == std::string::npos) return false;
  const std::string_view head(in_.data(), end_of_head + 2);
  const auto size = field_number(head, "content-length:");
  const auto status = head.size() > 12 ? number_at(head.substr(9, 3)) : std::nullopt;
  if (!size || !status) stop_with("not an answer of a manager: " + std::string(head));
  const std::size_t whole = end_of_head + 4 + static_cast<std::size_t>(*size);
  if (in_.size() < whole) return false;
  // The owner may send, or close, and so change in_.
  const std::string answer = in_.substr(0, whole);
  in_.erase(0, whole);
  const auto retry = field_number(std::string_view(answer).substr(0, end_of_head + 2), "retry-after:");
  owner_.on_answer({static_cast<int>(*status), seconds(retry.value_or(0)),
                    std::string_view(answer).substr(end_of_head + 4)});
  return true;
}

}  // namespace skep::bench
