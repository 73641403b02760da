// SPDX-License-Identifier: Apache-2.0
// retry_policy.h - whether, when and where a call is tried again. Pure: time and randomness come in.
//
// A round is one try at each manager. Within a round the next manager is tried at once; after it the call
// backs off with full jitter, doubling, and not before the earliest Retry-After that the round heard.
//
// Threads:   value; one executor at a time.
// Errors:    none.
// Units:     base/time.h types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

namespace skep::client {

inline constexpr Duration kBackOffFirst = milliseconds(100);
inline constexpr Duration kBackOffMax = seconds(5);
// A manager may not silence a client for longer than this.
inline constexpr Duration kRetryAfterMax = minutes(1);

// What may be done again.
enum class Repeatable : std::uint8_t {
  kAlways,        // the call is idempotent
  kUnlessUnsure,  // not after kUnknownOutcome
  kUnsentOnly,    // only if the request never left
};

// How one try failed.
struct Failure {
  Code code = Code::kInternal;
  bool is_answer = false;               // by a manager, not by the transport
  std::optional<Duration> retry_after;  // as the manager asked
};

struct NextTry {
  bool is_over = false;          // no further try
  bool is_next_manager = false;  // at another manager
  Instant at{};                  // not before
};

class RetryPolicy {
 public:
  RetryPolicy(Repeatable repeatable, Instant deadline) : repeatable_(repeatable), deadline_(deadline) {}

  // What to do after a try of this call failed at one of `managers`.
  NextTry after(const Failure& failure, std::size_t managers, Instant now, Random& random);

 private:
  bool may_repeat(const Failure& failure) const;

  Repeatable repeatable_;
  Instant deadline_;
  std::size_t tried_in_round_ = 0;
  Duration retry_after_least_ = Duration::max();  // of the round
  Duration back_off_ = kBackOffFirst;
};

}  // namespace skep::client
