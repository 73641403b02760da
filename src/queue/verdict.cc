// SPDX-License-Identifier: Apache-2.0
#include "queue/verdict.h"

namespace skep::queue {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kRetry:
      return "retry";
    case Verdict::kRequeue:
      return "requeue";
    case Verdict::kQuarantine:
      return "quarantine";
    case Verdict::kPark:
      return "park";
  }
  return "unknown";
}

std::string_view rule_name(VerdictRule rule) {
  switch (rule) {
    case VerdictRule::kAttempts:
      return "attempts";
    case VerdictRule::kPermanent:
      return "permanent";
    case VerdictRule::kLosses:
      return "losses";
    case VerdictRule::kAdvanced:
      return "advanced";
    case VerdictRule::kNotBegun:
      return "not_begun";
    case VerdictRule::kDeadline:
      return "deadline";
  }
  return "unknown";
}

Ruling judge(const VerdictInput& input) {
  if (input.is_too_late) return {Verdict::kPark, VerdictRule::kDeadline};
  if (!input.has_begun) return {Verdict::kRequeue, VerdictRule::kNotBegun};
  if (input.end == AttemptEnd::kFailed || input.end == AttemptEnd::kRunTimeout) {
    if (input.is_permanent) return {Verdict::kPark, VerdictRule::kPermanent};
    const bool is_used_up = input.attempts_failed >= input.attempts_max;
    return {is_used_up ? Verdict::kPark : Verdict::kRetry, VerdictRule::kAttempts};
  }
  const VerdictRule rule = input.has_advanced ? VerdictRule::kAdvanced : VerdictRule::kLosses;
  if (input.workers_lost >= limits::kWorkersLostMax) return {Verdict::kPark, VerdictRule::kLosses};
  return {input.workers_lost >= kSuspectAfter ? Verdict::kQuarantine : Verdict::kRequeue, rule};
}

}  // namespace skep::queue
