// SPDX-License-Identifier: Apache-2.0
// raw_connection.h - a blocking TCP connection for tests that must say exactly what goes over the wire.
//
// Threads:   one at a time.
// Errors:    a read that lasts longer than ten seconds fails the test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace skep::http::testing {

// True once `condition` holds; false if it does not within ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const SystemClock clock;
  const Instant end = clock.now() + seconds(10);
  while (!condition()) {
    if (clock.now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct RawResponse {
  int status = 0;
  std::string head;
  std::string body;

  bool has_line(std::string_view line) const {
    return head.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
  }
};

class RawConnection {
 public:
  explicit RawConnection(int port, int receive_buffer = 0) : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) {
      setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    is_connected_ = connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    set_patience();
  }
  // Takes a connection that was accepted.
  struct Accepted {
    int descriptor;
  };
  explicit RawConnection(Accepted accepted) : descriptor_(accepted.descriptor), is_connected_(true) {
    set_patience();
  }
  ~RawConnection() { close(); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  bool is_connected() const { return is_connected_; }

  // False if the peer refused to take it all.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Reads until `mark` has been seen and returns everything up to its end.
  std::string read_until(std::string_view mark) {
    while (true) {
      const std::size_t at = input_.find(mark);
      if (at != std::string::npos) return take(at + mark.size());
      if (!read_more()) return take(input_.size());
    }
  }

  std::string read_exactly(std::size_t size) {
    while (input_.size() < size && read_more()) {
    }
    return take(std::min(size, input_.size()));
  }

  std::string read_to_end() {
    while (read_more()) {
    }
    return take(input_.size());
  }

  // A response whose length is known. `to_head`: the request was HEAD, so there is no body.
  RawResponse read_response(bool to_head = false) {
    RawResponse response;
    response.head = read_until("\r\n\r\n");
    if (response.head.size() > 12) response.status = std::stoi(response.head.substr(9, 3));
    const std::size_t length = response.head.find("Content-Length: ");
    if (length != std::string::npos && !to_head) {
      response.body = read_exactly(std::stoul(response.head.substr(length + 16)));
    }
    return response;
  }

  RawResponse roundtrip(std::string_view request) {
    send(request);
    return read_response();
  }

  // True once the peer has closed and nothing is left to read.
  bool is_at_end() { return input_.empty() && !read_more() && !has_timed_out_; }

  void close_sending() { shutdown(descriptor_, SHUT_WR); }
  // Closes so that the peer sees a reset.
  void reset() {
    const linger now{1, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  void set_patience() {
    const timeval patience{10, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  bool read_more() {
    char bytes[16 * 1024];
    const ssize_t size = recv(descriptor_, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      has_timed_out_ = true;
      ADD_FAILURE() << "nothing came for ten seconds";
    }
    if (size > 0) input_.append(bytes, static_cast<std::size_t>(size));
    return size > 0;
  }

  std::string take(std::size_t size) {
    std::string taken = input_.substr(0, size);
    input_.erase(0, size);
    return taken;
  }

  int descriptor_ = -1;
  bool is_connected_ = false;
  bool has_timed_out_ = false;
  std::string input_;
};

}  // namespace skep::http::testing
