// SPDX-License-Identifier: Apache-2.0
// socket.h - a TCP connection with a buffer to read from, for peers whose protocol is spoken here.
//
// Blocking: a thread a connection costs one write and one read a request, and no library between.
//
// Threads:   one thread.
// Errors:    a connection that does not come about or ends, ends the program.
// Ownership: views live until the next read of the same socket.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace skep::bench::queue {

class Socket {
 public:
  Socket(const std::string& host, int port);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void write(std::string_view bytes);

  // Drops what was read so far: views die here.
  void begin_answers();
  // Up to and without the next \r\n, or the next `bytes`. Not views: an offset into the buffer, which moves
  // as it grows; text() is a view of it once all has been read.
  struct Piece {
    std::size_t begin = 0, size = 0;
  };
  Piece read_line();
  Piece read_bytes(std::size_t bytes);
  std::string_view text(Piece piece) const { return {buffer_.data() + piece.begin, piece.size}; }

 private:
  void fill(std::size_t room);

  int fd_ = -1;
  std::vector<char> buffer_;
  std::size_t at_ = 0, end_ = 0;
};

}  // namespace skep::bench::queue
