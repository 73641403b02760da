// SPDX-License-Identifier: Apache-2.0
// retry.h - whether and when a call to AWS is tried again. Pure: time and randomness come in.
//
// An error is judged by its code first, and by the HTTP status only where the code says nothing. The figures
// are those that the SDKs publish for their standard mode.
//
// Threads:   values; one thread at a time.
// Units:     base/time.h types.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/random.h"
#include "base/time.h"

namespace skep::aws {

enum class Verdict : std::uint8_t {
  kFinal,      // the same request fails again
  kTransient,  // no answer, or one that says nothing against the request
  kThrottled,  // too many requests
  kSkewed,     // the date of the request may be wrong
  kExpired,    // the credentials have ended
};

// What the service answered: its error code ("" if there is none) and its HTTP status (0: no answer).
Verdict judge(std::string_view code, int status);

// How much a client may repeat, whatever it calls: when everything fails, it stops to add load.
class RetryBudget {
 public:
  // Takes what a repetition costs; false if that much is not there.
  bool take(Verdict verdict);
  // After a success; `paid` is the verdict that its last repetition was paid for, if there was one.
  void give_back(std::optional<Verdict> paid);
  int left() const { return left_; }

 private:
  static constexpr int kMost = 500;
  int left_ = kMost;
};

// How long to wait before repetition `repeated` (0 for the first): full jitter, doubling from 50 ms, from 1 s
// when throttled, 20 s at most. `asked`: what x-amz-retry-after says; it counts, but for 5 s more at most.
Duration retry_delay(Verdict verdict, int repeated, std::optional<Duration> asked, Random& random);

}  // namespace skep::aws
