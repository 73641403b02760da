// SPDX-License-Identifier: Apache-2.0
#include "socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "plan.h"

namespace skep::bench::queue {
namespace {

constexpr std::size_t kRoom = std::size_t{64} << 10;

}  // namespace

Socket::Socket(const std::string& host, int port) : buffer_(2 * kRoom) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) fail(host + " is no address");
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("can not connect to " + host + ":" + std::to_string(port) + ": " + std::strerror(errno));
  }
}

Socket::~Socket() {
  close(fd_);
}

void Socket::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) fail(std::string("the server does not take a request: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Socket::begin_answers() {
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(at_),
            buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
  end_ -= at_;
  at_ = 0;
}

void Socket::fill(std::size_t room) {
  if (buffer_.size() - end_ < room) buffer_.resize(std::max(2 * buffer_.size(), end_ + room));
  while (true) {
    const auto got = ::recv(fd_, buffer_.data() + end_, buffer_.size() - end_, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail(got == 0 ? "the server has closed the connection" : std::strerror(errno));
    end_ += static_cast<std::size_t>(got);
    return;
  }
}

Socket::Piece Socket::read_line() {
  const std::size_t begin = at_;
  for (std::size_t from = at_;;) {
    const std::string_view seen(buffer_.data() + from, end_ - from);
    if (const auto found = seen.find("\r\n"); found != seen.npos) {
      at_ = from + found + 2;
      return {begin, from + found - begin};
    }
    from = std::max(from, end_ - std::min<std::size_t>(end_, 1));  // the \r may be there already
    fill(kRoom);
  }
}

Socket::Piece Socket::read_bytes(std::size_t bytes) {
  while (end_ - at_ < bytes) fill(std::max(kRoom, bytes - (end_ - at_)));
  at_ += bytes;
  return {at_ - bytes, bytes};
}

}  // namespace skep::bench::queue
