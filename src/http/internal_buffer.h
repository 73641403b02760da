// SPDX-License-Identifier: Apache-2.0
// internal_buffer.h - the buffers of a connection: what was read, a body being read, what waits to be sent.
// For the files of http alone.
//
// Threads:   value; one executor at a time.
// Units:     sizes are bytes.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "http/message.h"

namespace skep::http {

// Bytes read and not yet parsed.
class InputBuffer {
 public:
  static constexpr std::size_t kCapacityMin = 8 * 1024;

  std::string_view data() const { return {bytes_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(std::size_t size) { begin_ += size; }
  void clear() { begin_ = end_; }

  // Where to read to; empty if `capacity_max` bytes are waiting. May move the bytes: not while a read is
  // under way.
  boost::asio::mutable_buffer prepare(std::size_t capacity_max) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ == capacity_ && begin_ > 0) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    const bool is_too_large = end_ == 0 && capacity_ > std::max(capacity_max, kCapacityMin);
    const bool is_full = end_ == capacity_ && capacity_ < capacity_max;
    if (is_too_large || is_full || capacity_ == 0) {
      resize(is_full ? std::min(capacity_max, std::max(2 * capacity_, kCapacityMin)) : kCapacityMin);
    }
    return {bytes_.get() + end_, capacity_ - end_};
  }
  void commit(std::size_t size) { end_ += size; }

 private:
  void resize(std::size_t capacity) {
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (end_ > 0) std::memcpy(bytes.get(), bytes_.get(), end_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// A body of known size, read straight into the string that it becomes.
class BodyBuffer {
 public:
  explicit BodyBuffer(std::size_t size) : size_(size) { body_->reserve(std::min(size, kReserveMax)); }

  std::size_t missing() const { return size_ - filled_; }

  // Takes what it needs of `bytes` and tells how much that was.
  std::size_t append(std::string_view bytes) {
    const std::size_t taken = std::min(bytes.size(), missing());
    body_->resize(filled_);
    body_->append(bytes.data(), taken);
    filled_ += taken;
    return taken;
  }

  // Where to read to. The string grows by steps: it is zeroed as it grows, and a step that is in the cache
  // when the bytes arrive costs little; nobody gets memory for a length that was only announced.
  boost::asio::mutable_buffer prepare() {
    if (body_->size() == filled_) body_->resize(filled_ + std::min(missing(), kStep));
    return {body_->data() + filled_, body_->size() - filled_};
  }
  void commit(std::size_t size) { filled_ += size; }

  // Precondition: nothing is missing.
  Body take() { return std::move(body_); }

 private:
  static constexpr std::size_t kStep = 128 * 1024;
  static constexpr std::size_t kReserveMax = 16 * 1024 * 1024;

  std::shared_ptr<std::string> body_ = std::make_shared<std::string>();
  std::size_t size_;
  std::size_t filled_ = 0;
};

// A few buffers for one gathering write.
class BufferList {
 public:
  using value_type = boost::asio::const_buffer;
  using const_iterator = const value_type*;

  void push(const char* bytes, std::size_t size) {
    if (size > 0 && count_ < list_.size()) list_[count_++] = value_type(bytes, size);
  }
  const_iterator begin() const { return list_.data(); }
  const_iterator end() const { return list_.data() + count_; }

 private:
  std::array<value_type, 32> list_;
  std::size_t count_ = 0;
};

// What waits to be sent. Bodies are shared, not copied, unless they are small.
class OutputQueue {
 public:
  bool empty() const { return pieces_.empty(); }
  std::size_t size() const { return size_; }

  void push(std::string head, Body body = nullptr) {
    size_ += head.size() + (body ? body->size() : 0);
    if (body && body->size() <= kCopyMax) {
      head += *body;
      body = nullptr;
    }
    if (!pieces_.empty() && !pieces_.back().body && pieces_.back().head.size() + head.size() <= kMergeMax) {
      pieces_.back().head += head;
      pieces_.back().body = std::move(body);
      return;
    }
    pieces_.push_back({std::move(head), std::move(body)});
  }

  BufferList buffers() const {
    BufferList list;
    std::size_t skip = sent_of_front_;
    for (const Piece& piece : pieces_) {
      const std::size_t of_head = std::min(skip, piece.head.size());
      list.push(piece.head.data() + of_head, piece.head.size() - of_head);
      if (piece.body) list.push(piece.body->data() + (skip - of_head), piece.body->size() - (skip - of_head));
      skip = 0;
    }
    return list;
  }

  void consume(std::size_t sent) {
    size_ -= sent;
    sent_of_front_ += sent;
    while (!pieces_.empty() && sent_of_front_ >= pieces_.front().size()) {
      sent_of_front_ -= pieces_.front().size();
      pieces_.pop_front();
    }
  }

 private:
  static constexpr std::size_t kCopyMax = 4 * 1024;
  static constexpr std::size_t kMergeMax = 32 * 1024;

  struct Piece {
    std::string head;
    Body body;
    std::size_t size() const { return head.size() + (body ? body->size() : 0); }
  };
  std::deque<Piece> pieces_;
  std::size_t sent_of_front_ = 0;
  std::size_t size_ = 0;
};

}  // namespace skep::http
