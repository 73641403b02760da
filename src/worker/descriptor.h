// SPDX-License-Identifier: Apache-2.0
// descriptor.h - a file descriptor that is closed when its owner goes.
//
// Threads:   value.
// Ownership: owns the descriptor; moved, never copied.
#pragma once

#include <unistd.h>

#include <utility>

namespace skep::worker {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }

  int number() const { return number_; }  // -1: none
  bool is_open() const { return number_ >= 0; }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

}  // namespace skep::worker
