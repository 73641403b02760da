// SPDX-License-Identifier: Apache-2.0
#include "cli/run_loop.h"

#include <algorithm>
#include <utility>

#include "task/limits.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(30);
constexpr Duration kPullWait = milliseconds(300);
constexpr Duration kLookInterval = seconds(1);
constexpr Duration kTellAfter = seconds(5);
constexpr std::size_t kBatchTasks = 500;
constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kUnderWayMax = 20'000;

}  // namespace

RunLoop::RunLoop(Remote& remote, SignalWaiter& signals, RunJournal& journal, RunOutput& output,
                 std::uint32_t items, RunLoopOptions options)
    : remote_(remote),
      signals_(signals),
      journal_(journal),
      output_(output),
      items_(items),
      options_(std::move(options)),
      has_ended_(items, false) {}

Result<void> RunLoop::run() {
  for (const auto& record : journal_.records()) {
    if (record.index >= items_ || has_ended_[record.index]) continue;
    has_ended_[record.index] = true;
    SKEP_TRY(output_.add(record));
  }
  came_at_ = remote_.clock().now();
  while (output_.ended() < items_) {
    output_.show_bar({});
    SKEP_TRY(enqueue_some());
    const bool is_all_there = next_ == items_ || under_way_.size() >= kUnderWayMax;
    SKEP_TRY(const bool has_come, pull(is_all_there ? kPullWait : Duration::zero()));
    const Instant now = remote_.clock().now();
    if (!has_come && is_all_there && now - looked_at_ >= kLookInterval) {
      SKEP_TRY(take_unfinished());
      SKEP_TRY(tell_why());
      looked_at_ = now;
    }
    if (has_come) came_at_ = now;
    SKEP_TRY(keep());
    if (signals_.wait_for(Duration::zero())) {
      is_interrupted_ = true;
      return ok();
    }
  }
  return ok();
}

Result<void> RunLoop::enqueue_some() {
  if (!again_.empty()) {
    SKEP_TRY(enqueue(std::exchange(again_, {})));
  }
  std::vector<std::uint32_t> indices;
  while (next_ < items_ && indices.size() < kBatchTasks &&
         under_way_.size() + indices.size() < kUnderWayMax) {
    if (!has_ended_[next_]) indices.push_back(next_);
    ++next_;
  }
  return enqueue(indices);
}

// In as many calls as their bodies need.
Result<void> RunLoop::enqueue(const std::vector<std::uint32_t>& indices) {
  const TraceContext trace = own_trace();
  for (std::size_t at = 0; at < indices.size();) {
    v1::EnqueueBatchRequest request;
    const std::size_t first = at;
    for (std::size_t bytes = 0; at < indices.size() && bytes < kBatchBytes; ++at) {
      SKEP_TRY(auto task, options_.make_task(indices[at]));
      bytes += task.body().size();
      std::string key = options_.job + "-" + std::to_string(indices[at]);
      if (const auto runs = runs_.find(indices[at]); runs != runs_.end())
        key += "-" + std::to_string(runs->second);
      task.mutable_options()->set_queue(options_.queue);
      task.mutable_options()->set_idempotency_key(key);
      task.mutable_options()->set_traceparent(trace.parent);
      task.mutable_options()->set_tracestate(trace.state);
      *request.add_tasks() = std::move(task);
    }
    SKEP_TRY(const auto reply, remote_.wait<v1::EnqueueBatchReply>([&](client::Client& client, auto done) {
      client.enqueue_batch(request, remote_.within(kCallTimeout), std::move(done));
    }));
    for (std::size_t i = first; i < at; ++i)
      under_way_[reply.tasks(static_cast<int>(i - first)).id()] = indices[i];
  }
  return ok();
}

Result<bool> RunLoop::pull(Duration wait) {
  SKEP_TRY(auto reply, remote_.wait<v1::PullReply>([&](client::Client& client, auto done) {
    client.pull_results(limits::kPullMax, wait, options_.queue, remote_.within(kCallTimeout),
                        std::move(done));
  }));
  for (auto& item : *reply.mutable_items()) {
    const auto found = under_way_.find(item.id());
    if (found == under_way_.end()) {
      taken_ids_.push_back(item.id());  // of this job, and in the journal already
      continue;
    }
    v1::RunReport report;
    if (!options_.is_reported) {
      report.set_output(std::move(*item.mutable_result()));
    } else if (!report.ParseFromString(item.result())) {
      return fail(Code::kCorrupt, "the result of " + item.id() + " is no report of a program");
    }
    SKEP_TRY(take(found->second, item.id(), std::move(report)));
  }
  return reply.items_size() > 0;
}

bool RunLoop::should_run_again(std::uint32_t index, const v1::RunReport& report) {
  const bool has_failed = report.exit_code() != 0 || report.signal() != 0 || !report.problem().empty();
  if (!options_.is_reported || !has_failed || options_.runs_max <= 1) return false;
  return ++runs_[index] < options_.runs_max;
}

Result<void> RunLoop::take(std::uint32_t index, const std::string& id, v1::RunReport report) {
  taken_ids_.push_back(id);
  under_way_.erase(id);
  if (should_run_again(index, report)) {
    again_.push_back(index);
    return ok();
  }
  has_ended_[index] = true;
  SKEP_TRY(const auto record, journal_.append(index, report));
  taken_.push_back(record);
  return ok();
}

Result<void> RunLoop::tell_why() {
  if (is_told_ || under_way_.empty() || remote_.clock().now() - came_at_ < kTellAfter) return ok();
  SKEP_TRY(const auto task, remote_.wait<v1::Task>([&](client::Client& client, auto done) {
    client.get_task(under_way_.begin()->first, Duration::zero(), remote_.within(kCallTimeout),
                    std::move(done));
  }));
  is_told_ = true;
  if (task.state() != "leased")
    output_.note("skep: " + task.id() + " is " + task.state() + ". " + task.explanation());
  return ok();
}

Result<void> RunLoop::keep() {
  if (!taken_.empty()) {
    SKEP_TRY(journal_.sync());
  }
  for (const auto& record : std::exchange(taken_, {})) {
    SKEP_TRY(output_.add(record));
  }
  if (taken_ids_.empty()) return ok();
  v1::AckRequest request;
  for (const auto& id : std::exchange(taken_ids_, {})) request.add_ids(id);
  SKEP_TRY(remote_.wait<v1::AckReply>([&](client::Client& client, auto done) {
    client.ack_results(request, remote_.within(kCallTimeout), std::move(done));
  }));
  return ok();
}

Result<void> RunLoop::take_unfinished() {
  for (const std::string state : {"dead", "cancelled"}) {
    client::Client::ListQuery query;
    query.state = state;
    query.queue = options_.queue;
    query.limit = static_cast<std::uint32_t>(limits::kListMax);
    do {
      SKEP_TRY(const auto page, remote_.wait<v1::ListTasksReply>([&](client::Client& client, auto done) {
        client.list_tasks(query, remote_.within(kCallTimeout), std::move(done));
      }));
      for (const auto& task : page.tasks()) {
        const auto found = under_way_.find(task.id());
        if (found == under_way_.end()) continue;
        v1::RunReport report;
        const bool has_error = task.errors_size() > 0;
        report.set_problem(state == "cancelled" ? "it was cancelled"
                           : has_error          ? task.errors(task.errors_size() - 1).message()
                                                : task.reason());
        SKEP_TRY(take(found->second, task.id(), std::move(report)));
      }
      query.cursor = page.next_cursor();
    } while (!query.cursor.empty());
  }
  return ok();
}

}  // namespace skep::cli
