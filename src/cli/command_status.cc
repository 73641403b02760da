// SPDX-License-Identifier: Apache-2.0
// status: what the managers, their tasks and their workers are doing now.
#include <unistd.h>

#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/output.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(10);

// A store on other machines does not know what is free there.
std::string describe_space(const v1::StoreStatus& store) {
  const std::string used = ", " + describe_bytes(store.disk_bytes()) + " used";
  return store.free_bytes() > 0 ? used + ", " + describe_bytes(store.free_bytes()) + " free" : used;
}

// How many share the store, who sizes the fleet, and who did not answer.
std::string describe_managers(const v1::ClusterReply& cluster) {
  const auto& scaling = cluster.scaling();
  const auto count = static_cast<std::uint64_t>(cluster.managers_size());
  std::string text = with_thousands(count);
  if (scaling.role() == "leads") text += ", of which " + scaling.leader() + " sizes the fleet";
  if (count > 1 && scaling.role() != "leads" && !scaling.role().empty())
    text += scaling.role() == "alone" ? ", each of which sizes its own part of the fleet"
                                      : ", and who sizes the fleet did not say so";
  for (const auto& silent : cluster.silent()) text += "; " + silent + " does not answer";
  return text;
}

// In capitals, as nothing else of it is more urgent.
std::string describe_refusals(const v1::ClusterReply& cluster) {
  std::string text;
  for (const auto& refusal : cluster.refusals()) {
    text += "TAKES NO NEW TASKS" + (refusal.queue().empty() ? "" : " in queue " + refusal.queue()) + ": " +
            refusal.manager() + ": " + refusal.detail() + "\n";
  }
  return text;
}

std::string describe_cluster(const v1::ClusterReply& cluster, const v1::QueuesReply& queues,
                             const v1::WorkersReply& workers) {
  const auto& tasks = cluster.tasks();
  const auto& scaling = cluster.scaling();
  const auto& store = cluster.store();
  std::vector<std::vector<std::string>> head{
      {"manager", cluster.address() + ", skep " + cluster.version() + ", up " +
                      describe_duration(milliseconds(cluster.now_ms() - cluster.started_at_ms())) +
                      (cluster.draining() ? ", draining" : "")},
      {"store", store.engine() + " " + store.place() +
                    (store.available() ? describe_space(store) : ", NOT SERVING: " + store.problem())},
      {"acknowledged is", store.durability()},
      {"workers", std::to_string(cluster.workers_active()) + " active with " +
                      std::to_string(cluster.slots()) + " slots, " +
                      std::to_string(cluster.workers_draining()) + " draining, " +
                      std::to_string(scaling.booting()) + " booting; " + std::to_string(scaling.wanted()) +
                      " wanted (" + std::to_string(scaling.min_workers()) + "-" +
                      std::to_string(scaling.max_workers()) + ", " + scaling.provisioner() + ")"},
      {"managers", describe_managers(cluster)},
      {"scaling", describe_scaling(scaling, from_unix_ms(cluster.now_ms()))},
      {"since start", with_thousands(cluster.totals().enqueued()) + " enqueued, " +
                          with_thousands(cluster.totals().completed()) + " completed, " +
                          with_thousands(cluster.totals().delivered()) + " delivered, " +
                          with_thousands(cluster.totals().failed()) + " attempts failed"},
      {"tasks", with_thousands(tasks.queued()) + " queued, " + with_thousands(tasks.leased()) + " leased, " +
                    with_thousands(tasks.delayed()) + " delayed, " + with_thousands(tasks.done()) +
                    " done (" + with_thousands(tasks.undelivered()) + " not pulled), " +
                    with_thousands(tasks.dead()) + " dead, " + with_thousands(tasks.cancelled()) +
                    " cancelled"},
  };
  if (const std::string cost = describe_cost(scaling); !cost.empty()) head.push_back({"cost", cost});
  std::string text = table(head) + describe_refusals(cluster);
  for (const auto& warning : cluster.warnings()) text += "WARNING: " + warning + "\n";
  std::vector<std::vector<std::string>> rows{
      {"QUEUE", "QUEUED", "DELAYED", "LEASED", "DONE", "DEAD", "OLDEST", ""}};
  for (const auto& queue : queues.queues()) {
    rows.push_back({queue.name(), with_thousands(queue.tasks().queued()),
                    with_thousands(queue.tasks().delayed()), with_thousands(queue.tasks().leased()),
                    with_thousands(queue.tasks().done()), with_thousands(queue.tasks().dead()),
                    describe_duration(milliseconds(queue.oldest_queued_ms())),
                    queue.paused() ? "paused" : ""});
  }
  if (rows.size() > 1) text += "\n" + table(rows);
  rows = {{"WORKER", "NAME", "STATE", "SLOTS", "LEASES", "COMPLETED", "FAILED", "HEARD"}};
  for (const auto& worker : workers.workers()) {
    rows.push_back({worker.id(), worker.name(), worker.state(), std::to_string(worker.slots()),
                    std::to_string(worker.leases()), with_thousands(worker.completed()),
                    with_thousands(worker.failed()),
                    describe_duration(milliseconds(cluster.now_ms() - worker.heard_at_ms())) + " ago"});
  }
  if (rows.size() > 1) text += "\n" + table(rows);
  return text;
}

Result<std::string> fetch_status(Remote& remote, bool is_json) {
  SKEP_TRY(const auto cluster, remote.wait<v1::ClusterReply>([&](client::Client& client, auto done) {
    client.cluster(remote.within(kCallTimeout), std::move(done));
  }));
  if (is_json) return api::to_json(cluster) + "\n";
  SKEP_TRY(const auto queues, remote.wait<v1::QueuesReply>([&](client::Client& client, auto done) {
    client.queues(remote.within(kCallTimeout), std::move(done));
  }));
  SKEP_TRY(const auto workers, remote.wait<v1::WorkersReply>([&](client::Client& client, auto done) {
    client.workers(remote.within(kCallTimeout), std::move(done));
  }));
  return describe_cluster(cluster, queues, workers);
}

int status(const Context& context, bool is_watch) {
  auto remote = Remote::connect(context);
  if (!remote) return report(remote.error());
  for (;;) {
    const auto text = fetch_status(*remote.value(), context.is_json);
    if (!text) return report(text.error());
    const bool is_screen = is_watch && !context.is_json && isatty(STDOUT_FILENO) == 1;
    std::printf("%s%s", is_screen ? "\033[H\033[2J" : "", text.value().c_str());
    std::fflush(stdout);
    if (!is_watch || std::ferror(stdout) != 0) return api::kExitOk;
    usleep(1'000'000);
  }
}

}  // namespace

void add_status_command(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("status", "Show tasks, queues, workers and scaling");
  command->footer("Example: skep status --watch");
  auto is_watch = std::make_shared<bool>(false);
  command->add_flag("--watch", *is_watch, "Again each second");
  add_client_options(*command, context);
  context.actions[command] = [&context, is_watch] { return status(context, *is_watch); };
}

}  // namespace skep::cli
