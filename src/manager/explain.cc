// SPDX-License-Identifier: Apache-2.0
#include "manager/explain.h"

#include "base/figures.h"
#include "queue/shard.h"

namespace skep::manager {
namespace {

std::string ago(Instant now, Instant then) {
  return describe_duration(std::max(Duration::zero(), now - then)) + " ago";
}

// "1 worker is", "2 workers are"
std::string counted(std::uint64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

// "412 of 1,000 iterations"
std::string part_done(std::uint64_t done, const TaskRecord& record) {
  return with_thousands(done) + " of " + with_thousands(record.spec.iterations) + " iterations";
}

// " 37.4 % done 2s ago: 374 of 1,000 iterations at 100.0/s, about 4.3s left."
std::string explain_progress(const queue::RunProgress& progress, const TaskRecord& record, Instant now) {
  const std::uint64_t done = progress.iterations_done;
  const std::string text = " " + describe_share(done, record.spec.iterations) + " done " +
                           ago(now, progress.at) + ": " + part_done(done, record);
  if (done <= progress.first_done || progress.at <= progress.first_at) return text + ".";
  const double span = std::chrono::duration<double>(progress.at - progress.first_at).count();
  const double rate = static_cast<double>(done - progress.first_done) / span;
  const double rest = static_cast<double>(record.spec.iterations - done) / rate -
                      std::chrono::duration<double>(now - progress.at).count();
  constexpr double kDay = 86'400;
  const std::string left =
      rest > 10'000 * kDay
          ? "years"
          : "about " +
                describe_duration(milliseconds(static_cast<std::int64_t>(1'000 * std::max(rest, 0.0))));
  return text + " at " + describe_rate(rate) + ", " + left + " left.";
}

// What the next attempt will not have to do; "" if that is nothing.
std::string explain_checkpoint(const TaskRecord& record) {
  if (!record.checkpoint) return {};
  return " The next attempt goes on after " + part_done(record.checkpoint->iterations, record) + " (" +
         describe_share(record.checkpoint->iterations, record.spec.iterations) + "), which are kept.";
}

// What it should take, where tasks like it have ended; "" else.
std::string explain_work(const ExplainInput& input) {
  if (input.work_seen == 0) return {};
  const TaskSpec& spec = input.record->spec;
  const std::string what =
      spec.kind == "command" ? "program '" + spec.program + "'" : "kind '" + spec.kind + "'";
  return " It should take about " +
         describe_duration(Duration(static_cast<Duration::rep>(std::min(input.work_seconds, 1e9) * 1e9))) +
         ", going by " + counted(input.work_seen, "task", "tasks") + " of " + what + " in its queue.";
}

// What the programs of its attempts used; "" where nothing was measured.
std::string explain_usage(const TaskRecord& record) {
  if (record.usage == Usage()) return {};
  constexpr std::uint64_t kMost = std::uint64_t{1} << 52;
  const auto cpu = microseconds(static_cast<std::int64_t>(std::min(record.usage.cpu_us, kMost)));
  return " Its attempts used " + describe_duration(cpu) + " of processor time in all, and " +
         describe_bytes(record.usage.memory_peak_bytes) + " of memory at most.";
}

std::string explain_queued(const ExplainInput& input) {
  const TaskRecord& record = *input.record;
  std::string text =
      "It has waited in queue '" + record.spec.queue + "' since " + ago(input.now, record.queued_at) + ". ";
  const auto& settings = input.queue.settings;
  if (settings.is_paused) {
    return text + "The queue is paused, so nothing of it is leased: resume it with PATCH /v1/queues/" +
           settings.name + ".";
  }
  if (settings.leased_max != 0 && input.queue.counts.of(TaskState::kLeased) >= settings.leased_max) {
    return text + "The queue allows " + counted(settings.leased_max, "leased task", "leased tasks") +
           " at once, and as many are.";
  }
  if (input.workers == 0) {
    // A process may run before its worker is registered, and after it has left.
    text += input.workers_draining == 0 ? "No worker is registered."
                                        : counted(input.workers_draining, "worker is", "workers are") +
                                              " there, but drains and takes nothing more.";
    return text + (input.scaling.empty() ? "" : " Scaling: " + input.scaling + ".");
  }
  if (input.workers_fit == 0) {
    const std::string what = record.spec.kind == "command" ? "program '" + record.spec.program + "'"
                                                           : "kind '" + record.spec.kind + "'";
    return text + counted(input.workers, "worker is", "workers are") + " there, but none runs " + what +
           ": start one that lists it.";
  }
  if (record.workers_lost > 0) {
    text += "It was lost with its worker " + counted(record.workers_lost, "time", "times") +
            (record.workers_lost >= queue::kSuspectAfter
                 ? ", so it is given alone to a worker that holds nothing else. "
                 : ". ");
  }
  return text + counted(input.queue.counts.of(TaskState::kQueued), "task waits", "tasks wait") +
         " in this queue and " + counted(input.workers_fit, "worker runs", "workers run") +
         " this kind; priority " + std::to_string(record.spec.priority) + " and age decide its turn.";
}

std::string explain_delayed(const ExplainInput& input) {
  const TaskRecord& record = *input.record;
  const std::string when =
      "It may start in " + describe_duration(std::max(Duration::zero(), record.ready_at - input.now));
  if (record.errors.empty()) return when + ", as the client asked.";
  return when + ": attempt " + std::to_string(record.attempts_failed) + " of " +
         std::to_string(record.spec.attempts_max) + " failed (" + record.errors.back().message +
         ") and the next one backs off.";
}

std::string explain_leased(const ExplainInput& input) {
  const TaskRecord& record = *input.record;
  std::string text = "Worker " + record.worker + " has it since " + ago(input.now, record.leased_at);
  text += record.started_at == kNoInstant ? " and has not said yet that it runs it"
                                          : ", running since " + ago(input.now, record.started_at);
  text += "; without a heartbeat the lease ends in " +
          describe_duration(std::max(Duration::zero(), record.lease_expires_at - input.now)) + ".";
  if (input.progress) text += explain_progress(*input.progress, record, input.now);
  return text;
}

}  // namespace

std::string explain_task(const ExplainInput& input) {
  const TaskRecord& record = *input.record;
  switch (record.state) {
    case TaskState::kDelayed:
      return explain_delayed(input) + explain_checkpoint(record);
    case TaskState::kQueued:
      return explain_queued(input) + explain_work(input) + explain_checkpoint(record);
    case TaskState::kLeased:
      return explain_leased(input) + (input.progress ? "" : explain_work(input));
    case TaskState::kDone: {
      const std::string text =
          "Worker " + record.worker + " finished it " + ago(input.now, record.finished_at) + ". ";
      if (record.delivered_at == kNoInstant)
        return text + "Its result was not pulled yet and is kept until it is." + explain_usage(record);
      return text + "Its result was delivered " + ago(input.now, record.delivered_at) + " and is kept for " +
             describe_duration(input.queue.settings.retention) + " from then." + explain_usage(record);
    }
    case TaskState::kDead:
      return "It gave up " + ago(input.now, record.finished_at) + ": " + record.reason +
             ". Retry it by hand with POST /v1/tasks/" + record.id.to_string() + ":retry." +
             explain_checkpoint(record) + explain_usage(record);
    case TaskState::kCancelled:
      return "It was cancelled " + ago(input.now, record.finished_at) + ".";
  }
  return {};
}

}  // namespace skep::manager
