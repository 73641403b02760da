// SPDX-License-Identifier: Apache-2.0
#include "task/record_check.h"

#include <algorithm>

namespace skep {
namespace {

class Problems {
 public:
  // Notes `what` unless `holds`.
  void expect(bool holds, std::string what) {
    if (!holds) found_.push_back(std::move(what));
  }
  void expect(const Result<void>& result) {
    if (!result) found_.push_back(result.error().message);
  }
  std::vector<std::string> take() { return std::move(found_); }

 private:
  std::vector<std::string> found_;
};

std::string of(std::string_view name, std::uint64_t value) {
  return std::string(name) + " " + std::to_string(value);
}

void check_epochs(const TaskRecord& r, Epoch epoch, Problems& p) {
  const std::string newest = ", its shard has " + of("epoch", epoch);
  p.expect(r.id.epoch >= 1 && r.id.epoch <= epoch, "its id has " + of("epoch", r.id.epoch) + newest);
  p.expect(r.id.sequence >= 1, "its id has sequence 0");
  p.expect((r.lease_epoch == 0) == (r.lease_number == 0),
           "its lease has " + of("epoch", r.lease_epoch) + " and " + of("number", r.lease_number));
  p.expect(r.lease_epoch == 0 || r.lease_epoch >= r.id.epoch, "it was leased in an epoch before its own");
  p.expect(r.lease_epoch <= epoch, "its lease has " + of("epoch", r.lease_epoch) + newest);
  p.expect(r.completion_epoch <= epoch, "its completion has " + of("epoch", r.completion_epoch) + newest);
}

void check_budgets(const TaskRecord& r, Problems& p) {
  const bool has_given_up = r.state == TaskState::kDead;
  const std::string of_max = " of " + std::to_string(r.spec.attempts_max);
  p.expect(r.attempts_failed <= r.spec.attempts_max,
           "it has " + of("attempts_failed", r.attempts_failed) + of_max);
  p.expect(r.workers_lost <= limits::kWorkersLostMax,
           "it has " + of("workers_lost", r.workers_lost) + " of " + std::to_string(limits::kWorkersLostMax));
  p.expect(
      has_given_up || r.attempts_failed < r.spec.attempts_max,
      "its attempts are used up (" + std::to_string(r.attempts_failed) + of_max + ") and it is not dead");
  p.expect(has_given_up || r.workers_lost < limits::kWorkersLostMax,
           "its infrastructure budget is used up and it is not dead");
}

void check_errors(const TaskRecord& r, Problems& p) {
  const std::uint64_t spent = std::uint64_t{r.attempts_failed} + r.workers_lost;
  p.expect(r.errors.size() <= limits::kErrorsKept, "it has " + of("errors", r.errors.size()));
  p.expect(r.errors.size() >= std::min<std::uint64_t>(spent, limits::kErrorsKept),
           "it has " + of("errors", r.errors.size()) + " and " + std::to_string(spent) + " spent attempts");
  std::uint32_t last = 1;
  for (const auto& error : r.errors) {
    p.expect(error.number >= last && error.number <= r.lease_number,
             "an error is of attempt " + std::to_string(error.number) + ", after " + std::to_string(last) +
                 " and with " + std::to_string(r.lease_number) + " given");
    p.expect(error.message.size() <= limits::kErrorBytesMax, "an error's message is too long");
    last = std::max(last, error.number);
  }
}

void check_lease(const TaskRecord& r, Problems& p) {
  p.expect(r.lease_number >= 1, "it is leased and has no lease");
  p.expect(!r.worker.empty(), "it is leased and names no worker");
  p.expect(r.leased_at != kNoInstant, "it is leased and has no leased_at");
  p.expect(r.lease_expires_at != kNoInstant, "it is leased and has no lease_expires_at");
}

void check_checkpoint(const TaskRecord& r, Problems& p) {
  p.expect(r.resumed_from == 0 || (keeps_checkpoints(r.spec) && r.resumed_from < r.spec.iterations),
           "its lease went on from " + of("iteration", r.resumed_from) + " of " +
               std::to_string(r.spec.iterations) + (keeps_checkpoints(r.spec) ? "" : " and it keeps none"));
  if (!r.checkpoint) return;
  p.expect(validate_checkpoint(r.spec, r.checkpoint->iterations, r.checkpoint->digest));
  p.expect(r.checkpoint->at != kNoInstant, "its checkpoint never came");
  p.expect(r.lease_number >= 1, "it has a checkpoint and never had a lease");
  p.expect(r.state != TaskState::kDone && r.state != TaskState::kCancelled,
           "it is " + std::string(state_name(r.state)) + " and has a checkpoint");
}

void check_result(const TaskRecord& r, Problems& p) {
  const std::string is = "it is " + std::string(state_name(r.state));
  if (r.state == TaskState::kDone) {
    p.expect(r.completion >= 1 && r.completion_epoch >= 1, is + " and has no completion");
    p.expect(r.completion_epoch >= r.id.epoch, "it was completed in an epoch before its own");
    return;
  }
  p.expect(r.completion == 0 && r.completion_epoch == 0, is + " and has a completion");
  p.expect(r.result_bytes == 0 && r.result_hash == 0, is + " and has a result's size or hash");
  p.expect(r.delivered_at == kNoInstant, is + " and was delivered");
}

void check_trace(const TraceContext& trace, Problems& p) {
  p.expect(parse_trace_context(trace.parent, trace.state) == trace, "its trace context is invalid");
}

void check_state(const TaskRecord& r, Problems& p) {
  const std::string is = "it is " + std::string(state_name(r.state));
  p.expect(r.enqueued_at != kNoInstant, "it has no enqueued_at");
  p.expect(r.ready_at != kNoInstant, "it has no ready_at");
  if (r.state == TaskState::kQueued) p.expect(r.queued_at != kNoInstant, is + " and has no queued_at");
  if (r.state == TaskState::kLeased) check_lease(r, p);
  p.expect(is_terminal(r.state) == (r.finished_at != kNoInstant),
           is + (is_terminal(r.state) ? " and has no finished_at" : " and has a finished_at"));
  const bool wants_reason = r.state == TaskState::kDead || r.state == TaskState::kCancelled;
  p.expect(wants_reason == !r.reason.empty(),
           is + (wants_reason ? " and has no reason" : " and has a reason"));
  check_result(r, p);
}

}  // namespace

std::vector<std::string> check_record(const TaskRecord& record, Epoch epoch) {
  Problems problems;
  problems.expect(validate(record.spec));
  check_epochs(record, epoch, problems);
  check_state(record, problems);
  check_budgets(record, problems);
  check_errors(record, problems);
  check_checkpoint(record, problems);
  check_trace(record.spec.trace, problems);
  return problems.take();
}

std::vector<std::string> check_record(const QueueRecord& record) {
  Problems problems;
  problems.expect(validate_name("its name", record.name));
  problems.expect(record.retention >= Duration::zero() && record.dead_retention >= Duration::zero(),
                  "its retention is negative");
  return problems.take();
}

}  // namespace skep
