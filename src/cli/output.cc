// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <algorithm>
#include <cctype>

#include "base/time.h"
#include "scaler/cost_ledger.h"
#include "task/limits.h"
#include "task/trace_context.h"

namespace skep::cli {

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string describe_scaling(const api::v1::ScalingState& state, Instant now) {
  std::string text = "by policy";
  const std::string until =
      " until " + format_instant(from_unix_ms(state.order_until_ms())) + " (skep scale auto ends it)";
  if (state.mode().empty()) return "nothing scales";
  if (state.mode() == "paused") text = "PAUSED" + until;
  if (state.mode() == "ordered") text = std::to_string(state.ordered_workers()) + " ORDERED" + until;
  if (state.dry_run()) text += ", DRY RUN: nothing is started or stopped";
  if (!state.problem().empty()) {
    const Duration since = std::max(Duration::zero(), now - from_unix_ms(state.problem_since_ms()));
    text += "; CAN NOT ACT for " + describe_duration(since) + ": " + state.problem();
  }
  return text;
}

std::string describe_cost(const api::v1::ScalingState& state) {
  using scaler::describe_money;
  if (state.price_hour() <= 0) return {};
  return describe_money(state.cost()) + " since start (tasks " + describe_money(state.cost_used()) +
         ", their share of boot and idle " + describe_money(state.cost_overhead()) + ", idle " +
         describe_money(state.cost_idle()) + "); " + describe_money(state.spent_month()) + " in " +
         state.month() +
         (state.budget_month() > 0 ? " of " + describe_money(state.budget_month()) : std::string()) + "; " +
         describe_money(state.price_hour()) + " an hour a worker" +
         (state.budget_hour() > 0 ? ", at most " + describe_money(state.budget_hour()) + " in all" : "");
}

std::string show_result(const std::string& id, const std::string& result, std::uint64_t bytes) {
  const bool is_word = !result.empty() && std::all_of(result.begin(), result.end(),
                                                      [](unsigned char c) { return std::isprint(c) != 0; });
  return is_word ? result : "(" + describe_bytes(bytes) + ": skep get " + id + " --result)";
}

namespace {

// "412,000 of 1,000,000 (41.2 %), 2.1s ago"
std::string show_progress(std::uint64_t done, const api::v1::Task& task, std::int64_t at_ms, Instant now) {
  const std::uint64_t all = task.options().iterations();
  const Duration age = std::max(Duration::zero(), now - from_unix_ms(at_ms));
  return with_thousands(done) + " of " + with_thousands(all) + " (" + describe_share(done, all) + "), " +
         describe_duration(age) + " ago";
}

void add_progress(const api::v1::Task& task, Instant now, std::vector<std::vector<std::string>>& rows) {
  if (task.progress_at_ms() != 0)
    rows.push_back({"progress", show_progress(task.iterations_done(), task, task.progress_at_ms(), now)});
  if (task.checkpoint_at_ms() != 0) {
    rows.push_back({"checkpoint", "kept after " + show_progress(task.checkpoint_iterations(), task,
                                                                task.checkpoint_at_ms(), now)});
  }
}

// What the program was given.
void add_command(const api::v1::Task& task, std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t kShown = 100;
  for (const auto& parameter : task.options().parameters())
    rows.push_back(
        {"parameter", parameter.size() <= kShown ? parameter : parameter.substr(0, kShown) + "..."});
}

}  // namespace

std::string describe_task(const api::v1::Task& task, Instant now) {
  const auto& options = task.options();
  std::vector<std::vector<std::string>> rows{
      {"task", task.id()},
      {"state", task.state()},
      {"queue", options.queue() + ", priority " + std::to_string(options.priority())},
      {"work", options.kind() == "sha512"
                   ? "sha512, " + with_thousands(options.iterations()) + " iterations, " +
                         describe_bytes(task.body_bytes())
                   : options.kind() + " " + options.program() + ", " + describe_bytes(task.body_bytes())},
      {"enqueued", format_instant(from_unix_ms(task.enqueued_at_ms()))},
      {"attempts", std::to_string(task.leases()) + " begun, " + std::to_string(task.attempts_failed()) +
                       " of " + std::to_string(options.max_attempts()) + " failed, " +
                       std::to_string(task.workers_lost()) + " of " +
                       std::to_string(limits::kWorkersLostMax) + " losses counted"}};
  if (!task.worker().empty()) rows.push_back({"worker", task.worker()});
  add_progress(task, now, rows);
  add_command(task, rows);
  const TraceContext trace = parse_trace_context(options.traceparent(), options.tracestate());
  if (!trace.parent.empty()) rows.push_back({"trace", std::string(trace.trace_id())});
  if (task.finished_at_ms() != 0)
    rows.push_back({"finished", format_instant(from_unix_ms(task.finished_at_ms()))});
  if (task.result_bytes() > 0)
    rows.push_back({"result", show_result(task.id(), task.result(), task.result_bytes())});
  std::string text = table(rows);
  for (const auto& error : task.errors()) {
    text += "  attempt " + std::to_string(error.number()) + " " + error.end() + " on " + error.worker() +
            ": " + error.message() + "\n";
  }
  if (!task.explanation().empty()) text += task.explanation() + "\n";
  return text;
}

}  // namespace skep::cli
