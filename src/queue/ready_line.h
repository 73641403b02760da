// SPDX-License-Identifier: Apache-2.0
// ready_line.h - a line of keys that mostly come in their order and leave at the front.
//
// New keys are larger than those before, so that they only queue up: 16 bytes or so each, without a tree. One
// that comes back takes its old place in a set beside. One that leaves from the middle stays as a shell until
// it comes to the front, or until shells are the majority: the owner knows which keys are alive.
//
// Threads:   one executor at a time.
// Cost:      constant for what comes and goes in order; O(log n) for what comes back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

namespace skep::queue {

template <class Key>
class Line {
 public:
  // One that waits for the first time, or that came back after it left.
  void add(const Key& key) {
    if (!in_order_.empty() && !(in_order_.back() < key)) return add_back(key);
    in_order_.push_back(key);
    ++alive_;
  }
  void add_back(const Key& key) {
    returned_.insert(key);
    ++alive_;
  }

  // It is here. `is_alive` says of another key whether it still waits in this line.
  template <class IsAlive>
  void remove(const Key& key, IsAlive is_alive) {
    --alive_;
    if (returned_.erase(key) > 0) return;
    if (!in_order_.empty() && in_order_.front() == key) {
      in_order_.pop_front();
      while (!in_order_.empty() && !is_waiting(in_order_.front(), is_alive)) in_order_.pop_front();
    } else if (in_order_.size() > 2 * alive_ + kSlack) {
      std::erase_if(in_order_,
                    [&](const Key& other) { return other == key || !is_waiting(other, is_alive); });
    }
  }

  bool empty() const { return alive_ == 0; }
  std::size_t size() const { return alive_; }
  // The smallest that waits. Precondition: not empty.
  const Key& front() const {
    if (returned_.empty()) return in_order_.front();
    if (in_order_.empty()) return *returned_.begin();
    return std::min(in_order_.front(), *returned_.begin());
  }

  // The smallest of those that were never away; null if there is none.
  const Key* first_new() const { return in_order_.empty() ? nullptr : &in_order_.front(); }

  template <class IsAlive>
  std::vector<Key> alive(IsAlive is_alive) const {
    std::vector<Key> keys(returned_.begin(), returned_.end());
    for (const Key& key : in_order_) {
      if (is_waiting(key, is_alive)) keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }

 private:
  static constexpr std::size_t kSlack = 64;

  // The shell of one that left and came back is alive, but waits in the set.
  template <class IsAlive>
  bool is_waiting(const Key& key, IsAlive is_alive) const {
    return is_alive(key) && !returned_.contains(key);
  }

  std::deque<Key> in_order_;
  std::set<Key> returned_;
  std::size_t alive_ = 0;
};

}  // namespace skep::queue
