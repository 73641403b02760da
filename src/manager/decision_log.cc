// SPDX-License-Identifier: Apache-2.0
#include "manager/decision_log.h"

#include <algorithm>

#include "api/json.h"

namespace skep::manager {
namespace {

constexpr std::size_t kMessageBytesMax = 256;  // of an attempt's; the task's record has more of it

void add_input(api::v1::Decision& out, std::string_view name, std::string value) {
  auto& input = *out.add_inputs();
  input.set_name(std::string(name));
  input.set_value(std::move(value));
}

std::string yes_or_no(bool is_so) {
  return is_so ? "true" : "false";
}

std::string counted_of(std::uint32_t count, std::uint32_t most, const std::string& what) {
  return std::to_string(count) + " of " + std::to_string(most) + " " + what;
}

// "Attempt 2 on w7 failed: exit code 1"
std::string how_it_ended(const queue::TaskDecision& decision) {
  const std::string attempt = "Attempt " + std::to_string(decision.attempt) +
                              (decision.worker.empty() ? std::string() : " on worker " + decision.worker);
  const std::string why =
      decision.message.empty() ? std::string() : " (" + api::to_valid_utf8(decision.message) + ")";
  switch (decision.input.end) {
    case AttemptEnd::kFailed:
      return attempt + " failed" + why;
    case AttemptEnd::kRunTimeout:
      return attempt + " ran for too long" + why;
    case AttemptEnd::kWorkerLost:
      return attempt + " was lost with its worker" + why;
    case AttemptEnd::kLeaseExpired:
      return attempt + " ended because its lease ran out" + why;
    case AttemptEnd::kReleased:
      return attempt + " was handed back" + why;
  }
  return attempt + " ended" + why;
}

std::string what_follows(const queue::TaskDecision& decision) {
  switch (decision.ruling.verdict) {
    case queue::Verdict::kRetry:
      return "it is tried again from " + format_instant(decision.ready_at) + " on";
    case queue::Verdict::kRequeue:
      return "it is queued again at once, at its old place";
    case queue::Verdict::kQuarantine:
      return "it is queued again, and given alone to a worker that holds nothing else";
    case queue::Verdict::kPark:
      return "it is parked as dead until somebody retries it";
  }
  return {};
}

std::string because_of(const queue::TaskDecision& decision) {
  const auto& input = decision.input;
  switch (decision.ruling.rule) {
    case queue::VerdictRule::kAttempts:
      return "that is " + counted_of(input.attempts_failed, input.attempts_max, "attempts") + ", so ";
    case queue::VerdictRule::kPermanent:
      return "it said that a retry can not help, so ";
    case queue::VerdictRule::kLosses:
      return "that is " + counted_of(input.workers_lost, limits::kWorkersLostMax, "losses") +
             (decision.ruling.verdict == queue::Verdict::kPark ? ", it may be what kills workers, so "
                                                               : ", so ");
    case queue::VerdictRule::kAdvanced:
      return "it left a checkpoint of its own, which costs nothing, and ";
    case queue::VerdictRule::kNotBegun:
      return "it had not begun, which costs nothing, and ";
    case queue::VerdictRule::kDeadline:
      break;
  }
  return {};
}

}  // namespace

void to_message(Instant at, const queue::TaskDecision& decision, api::v1::Decision& out) {
  const auto& input = decision.input;
  out.set_at_ms(to_unix_ms(at));
  out.set_kind(std::string(queue::verdict_name(decision.ruling.verdict)));
  out.set_subject(decision.id.to_string());
  out.set_worker(decision.worker);
  out.set_attempt(decision.attempt);
  out.set_rule(std::string(queue::rule_name(decision.ruling.rule)));
  if (input.is_too_late) {
    add_input(out, "is_too_late", yes_or_no(true));
    out.set_outcome("The task was too late (" + decision.message + "): " + what_follows(decision) + ".");
    return;
  }
  add_input(out, "end", std::string(attempt_end_name(input.end)));
  add_input(out, "is_permanent", yes_or_no(input.is_permanent));
  add_input(out, "has_begun", yes_or_no(input.has_begun));
  add_input(out, "has_advanced", yes_or_no(input.has_advanced));
  add_input(out, "attempts_failed", std::to_string(input.attempts_failed));
  add_input(out, "attempts_max", std::to_string(input.attempts_max));
  add_input(out, "workers_lost", std::to_string(input.workers_lost));
  out.set_outcome(how_it_ended(decision) + ": " + because_of(decision) + what_follows(decision) + ".");
}

void merge_decisions(std::size_t limit, api::v1::DecisionsReply& out) {
  auto& all = *out.mutable_decisions();
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& x, const auto& y) { return x.at_ms() > y.at_ms(); });
  if (static_cast<std::size_t>(all.size()) > limit)
    all.DeleteSubrange(static_cast<int>(limit), all.size() - static_cast<int>(limit));
}

void DecisionLog::add(Instant at, queue::TaskDecision decision) {
  if (decision.message.size() > kMessageBytesMax) decision.message.resize(kMessageBytesMax);
  of_tasks_.push_back({at, std::move(decision)});
  if (of_tasks_.size() > kept_max_) of_tasks_.pop_front();
}

void DecisionLog::add_of_worker(Instant at, std::string worker, std::string_view kind, std::string_view rule,
                                Inputs inputs, std::string outcome) {
  of_workers_.push_back({at, std::move(worker), kind, rule, std::move(inputs), std::move(outcome)});
  if (of_workers_.size() > kept_max_) of_workers_.pop_front();
}

void DecisionLog::fill(const DecisionQuery& query, api::v1::DecisionsReply& out) const {
  std::size_t found = 0;
  for (auto entry = of_tasks_.rbegin(); entry != of_tasks_.rend() && found < query.limit; ++entry) {
    const auto& decision = entry->decision;
    if (entry->at > query.until || (!query.worker.empty() && decision.worker != query.worker)) continue;
    if (!query.task.empty() && decision.id.to_string() != query.task) continue;
    to_message(entry->at, decision, *out.add_decisions());
    ++found;
  }
  found = 0;
  for (auto entry = of_workers_.rbegin(); entry != of_workers_.rend() && found < query.limit; ++entry) {
    const bool is_other = !query.task.empty() || (!query.worker.empty() && entry->worker != query.worker);
    if (is_other || entry->at > query.until) continue;
    auto& message = *out.add_decisions();
    message.set_at_ms(to_unix_ms(entry->at));
    message.set_kind(std::string(entry->kind));
    message.set_subject(entry->worker);
    message.set_worker(entry->worker);
    message.set_rule(std::string(entry->rule));
    for (const auto& [name, value] : entry->inputs) add_input(message, name, value);
    message.set_outcome(entry->outcome);
    ++found;
  }
  merge_decisions(query.limit, out);
}

}  // namespace skep::manager
