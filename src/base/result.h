// SPDX-License-Identifier: Apache-2.0
// result.h - how an operation that may fail says so: Result<T>, Error, Code.
//
// An alias over Boost.Outcome, so that the rest of the code names only `Result`, `ok()`, `fail()` and
// `SKEP_TRY`. Callers branch on the code, never on the text. Normal absence is std::optional or kNotFound; a
// broken invariant is SKEP_CHECK (base/check.h), never an Error.
//
// Threads:   value.
#pragma once

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace skep {

// The closed list of ways in which an operation can fail. api/errors.h maps each to an HTTP status and an
// exit code.
enum class Code : std::uint8_t {
  kInvalid,          // the request itself is wrong; the same request will fail again
  kNotFound,         // no such thing (any more)
  kConflict,         // the thing is in a state that forbids this
  kFenced,           // another owner has a higher epoch; this one must stop
  kStaleLease,       // the lease ended or belongs to somebody else
  kExhausted,        // a limit is reached; the same request may succeed later
  kUnavailable,      // not now: starting, draining, disk full, peer away
  kTimeout,          // the deadline passed; the effect is known not to have happened
  kUnknownOutcome,   // it may or may not have happened: retry idempotently or reload
  kCorrupt,          // stored data failed its checksum or does not parse
  kInternal,         // a foreign error that fits nothing above
  kUnauthenticated,  // who is asked does not know who asks, or the reverse: no token, a bad certificate
  kForbidden,        // it knows, and this is not for them
};

// The stable lower-case name of `code`, for example "not_found".
std::string_view code_name(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;  // one sentence for a person: what, where, what to do

  bool operator==(const Error&) const = default;
};

// `error` with `context: ` put before its message; for use where an error crosses a folder.
Error with_context(Error error, std::string_view context);

template <class T>
using Result =
    BOOST_OUTCOME_V2_NAMESPACE::basic_result<T, Error, BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

// Success of a Result<void>.
inline auto ok() {
  return BOOST_OUTCOME_V2_NAMESPACE::success();
}

// Failure of any Result.
inline Error fail(Code code, std::string message) {
  return Error{code, std::move(message)};
}

}  // namespace skep

// SKEP_TRY(expr): returns the error from the enclosing function if `expr` failed.
// SKEP_TRY(auto x, expr): the same, else x is the value.
#define SKEP_TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
