// SPDX-License-Identifier: Apache-2.0
// function.h - UniqueFunction: a callable that is moved, called, and never copied.
//
// std::function wants copyable captures and std::move_only_function is C++23; replies carry move-only state.
//
// Threads:   value.
// Ownership: owns the callable.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace skep {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): empty, as for std::function
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction> && std::is_invocable_r_v<R, F&, Args...>)
      UniqueFunction(
          F&& callable)  // NOLINT(google-explicit-constructor): lambdas convert, as for std::function
      : callable_(std::make_unique<Holder<std::decay_t<F>>>(std::forward<F>(callable))) {}

  // Precondition: not empty.
  R operator()(Args... args) { return callable_->call(std::forward<Args>(args)...); }
  explicit operator bool() const { return callable_ != nullptr; }

 private:
  struct Callable {
    virtual ~Callable() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Holder final : Callable {
    explicit Holder(F f) : function(std::move(f)) {}
    R call(Args... args) override { return function(std::forward<Args>(args)...); }
    F function;
  };

  std::unique_ptr<Callable> callable_;
};

}  // namespace skep
