// SPDX-License-Identifier: Apache-2.0
// bodies.h - bodies that say which they are, and the count that none of them is lost, doubled or damaged.
//
// A body is its number, then random bytes from a place that follows from the number: no store finds anything
// to compress, and whoever gets a body can check every byte of it.
//
// Threads:   Pool is immutable; Ledger any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace skep::bench::queue {

inline constexpr std::size_t kStampBytes = 8;

class Pool {
 public:
  explicit Pool(std::size_t body_bytes);

  // `out` has the size of a body.
  void write(std::uint64_t number, std::span<char> out) const;
  // The number of the body. Ends the program if it is not a body as write() made it.
  std::uint64_t check(std::string_view body) const;
  std::size_t body_bytes() const { return body_bytes_; }

 private:
  std::string_view rest_of(std::uint64_t number) const;

  std::size_t body_bytes_;
  std::string random_;
};

// What went in and what came out: numbers of tasks, and sums over a hash of each body's number, which are
// equal for the same bodies in any order and, one may be sure, for no others.
class Ledger {
 public:
  void enqueued(std::uint64_t tasks, std::uint64_t hashes);
  void completed(std::uint64_t tasks, std::uint64_t hashes);
  std::uint64_t open() const;  // enqueued and not completed
  std::uint64_t tasks_enqueued() const { return tasks_in_.load(); }
  // Ends the program unless all that went in has come out.
  void check_all_done() const;

  static std::uint64_t hash(std::uint64_t number);

 private:
  std::atomic<std::uint64_t> tasks_in_{0}, tasks_out_{0}, hashes_in_{0}, hashes_out_{0};
};

}  // namespace skep::bench::queue
