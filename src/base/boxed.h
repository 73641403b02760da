// SPDX-License-Identifier: Apache-2.0
// boxed.h - a value that is kept on the heap, so that moving it costs a pointer.
//
// For large values that pass through several containers and variants. Copies are deep and compare as the
// values do.
//
// Threads:   as a T.
// Ownership: owns the value. One that was moved from is only destroyed or assigned to.
#pragma once

#include <memory>
#include <utility>

namespace skep {

template <class T>
class Boxed {
 public:
  Boxed() : value_(std::make_unique<T>()) {}
  Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}  // implicit: it stands for the value
  Boxed(const Boxed& other) : value_(std::make_unique<T>(*other)) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(const Boxed& other) { return *this = Boxed(other); }
  Boxed& operator=(Boxed&&) noexcept = default;
  ~Boxed() = default;

  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }
  bool operator==(const Boxed& other) const { return **this == *other; }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace skep
