// SPDX-License-Identifier: Apache-2.0
#include "client/retry_policy.h"

#include <algorithm>

#include "api/errors.h"

namespace skep::client {
namespace {

// A manager that says this of itself says nothing of its siblings. kExhausted is the cluster's answer:
// another manager would give the same.
bool is_about_the_manager(const Failure& failure) {
  return !failure.is_answer || failure.code == Code::kUnavailable || failure.code == Code::kFenced ||
         failure.code == Code::kTimeout || failure.code == Code::kUnknownOutcome;
}

}  // namespace

bool RetryPolicy::may_repeat(const Failure& failure) const {
  if (!api::info(failure.code).is_retryable) return false;
  switch (repeatable_) {
    case Repeatable::kAlways:
      return true;
    case Repeatable::kUnlessUnsure:
      return failure.code != Code::kUnknownOutcome;
    case Repeatable::kUnsentOnly:
      return !failure.is_answer && failure.code != Code::kUnknownOutcome;
  }
  return false;
}

NextTry RetryPolicy::after(const Failure& failure, std::size_t managers, Instant now, Random& random) {
  if (!may_repeat(failure)) return {.is_over = true};
  ++tried_in_round_;
  retry_after_least_ = std::min(retry_after_least_, failure.retry_after.value_or(Duration::zero()));
  const bool is_next_manager = managers > 1 && is_about_the_manager(failure);
  if (is_next_manager && tried_in_round_ < managers) {
    return {.is_over = now >= deadline_, .is_next_manager = true, .at = now};
  }
  const Duration jittered{
      static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(back_off_.count())))};
  const Duration pause = std::max(jittered, std::min(retry_after_least_, kRetryAfterMax));
  back_off_ = std::min(2 * back_off_, kBackOffMax);
  tried_in_round_ = 0;
  retry_after_least_ = Duration::max();
  const Instant at = add_saturated(now, pause);
  return {.is_over = at >= deadline_, .is_next_manager = is_next_manager, .at = at};
}

}  // namespace skep::client
