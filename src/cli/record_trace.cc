// SPDX-License-Identifier: Apache-2.0
#include "cli/record_trace.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "cli/context.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(30);
constexpr std::uint32_t kPage = 1'000;
constexpr std::size_t kTasksMax = 5'000'000;

struct Seen {
  std::int64_t enqueued_ms = 0;
  std::int64_t run_ms = 0;
  std::string queue;
};

Result<std::vector<Seen>> ended_tasks(Remote& remote) {
  std::vector<Seen> tasks;
  std::string cursor;
  do {
    client::Client::ListQuery query;
    query.state = "done";
    query.limit = kPage;
    query.cursor = cursor;
    SKEP_TRY(const auto page, remote.wait<v1::ListTasksReply>([&](client::Client& client, auto done) {
      client.list_tasks(query, remote.within(kCallTimeout), std::move(done));
    }));
    for (const v1::Task& task : page.tasks()) {
      const std::int64_t begin = task.started_at_ms() > 0 ? task.started_at_ms() : task.leased_at_ms();
      tasks.push_back({task.enqueued_at_ms(), std::max<std::int64_t>(1, task.finished_at_ms() - begin),
                       task.options().queue()});
    }
    cursor = page.next_cursor();
  } while (!cursor.empty() && tasks.size() < kTasksMax);
  return tasks;
}

}  // namespace

Result<std::string> record_trace(const std::string& url, const Access& access) {
  SKEP_TRY(const auto remote, Remote::connect(url, access));
  SKEP_TRY(auto tasks, ended_tasks(*remote));
  if (tasks.empty())
    return fail(Code::kInvalid, "no task has ended at " + url + ": there is nothing to record");
  std::sort(tasks.begin(), tasks.end(),
            [](const Seen& a, const Seen& b) { return a.enqueued_ms < b.enqueued_ms; });
  const std::int64_t first = tasks.front().enqueued_ms;
  const bool has_queues = std::any_of(tasks.begin(), tasks.end(),
                                      [&](const Seen& task) { return task.queue != tasks.front().queue; });
  std::string text = "# load as recorded at " + url + "\nt_seconds,service_seconds";
  text += has_queues ? ",queue\n" : "\n";
  for (const Seen& task : tasks) {
    char line[64];
    std::snprintf(line, sizeof line, "%.3f,%.3f", static_cast<double>(task.enqueued_ms - first) / 1e3,
                  static_cast<double>(task.run_ms) / 1e3);
    text += line + (has_queues ? "," + task.queue : "") + "\n";
  }
  return text;
}

}  // namespace skep::cli
