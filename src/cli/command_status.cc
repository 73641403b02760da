// SPDX-License-Identifier: Apache-2.0
// status and explain: what is, and why.
#include <unistd.h>

#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/output.h"
#include "scaler/cost_ledger.h"

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
  std::string text = table(head);
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

int explain_task(const Context& context, Remote& remote, const std::string& id) {
  auto task = remote.wait<v1::Task>([&](client::Client& client, auto done) {
    client.get_task(id, Duration::zero(), remote.within(kCallTimeout), std::move(done));
  });
  if (!task) return report(task.error());
  if (context.is_json) {
    std::printf("%s\n", api::to_json(task.value()).c_str());
    return api::kExitOk;
  }
  std::printf("%s is %s. %s\n", id.c_str(), task.value().state().c_str(), task.value().explanation().c_str());
  for (const auto& error : task.value().errors()) {
    std::printf("  %s  attempt %u %s on %s: %s\n", format_instant(from_unix_ms(error.at_ms())).c_str(),
                error.number(), error.end().c_str(), error.worker().c_str(), error.message().c_str());
  }
  return api::kExitOk;
}

std::string describe_parts(const v1::ScalingReply& scaling) {
  std::vector<std::vector<std::string>> rows{
      {"  MANAGER", "STARTS BY", "SHARE", "RUNNING", "BOOTING", "MOST", "QUEUED", ""}};
  for (const auto& part : scaling.parts()) {
    const auto silence = milliseconds(static_cast<std::int64_t>(part.silence_ms()));
    rows.push_back({"  " + part.address(), part.provisioner(), std::to_string(part.share()),
                    std::to_string(part.running()), std::to_string(part.booting()),
                    part.can_launch() ? std::to_string(part.max_workers()) : "-",
                    with_thousands(part.queued()),
                    part.silence_ms() > 0 ? "silent for " + describe_duration(silence) : ""});
  }
  return table(rows);
}

std::string describe_ms(std::uint64_t ms) {
  return describe_duration(milliseconds(static_cast<std::int64_t>(ms)));
}

// Queues with objectives of their own, and boots by type of machine, where there are any.
std::string describe_learned(const v1::ScalingState& state) {
  std::string text;
  if (state.objectives_size() > 0) {
    std::vector<std::vector<std::string>> rows{
        {"  QUEUE", "START WITHIN", "WEIGHT", "QUEUED", "LEASED", "OLDEST", "ARRIVES A SECOND"}};
    for (const auto& one : state.objectives()) {
      const auto arrives = Duration(static_cast<Duration::rep>(std::min(one.arrival_seconds(), 1e9) * 1e9));
      rows.push_back(
          {"  " + (one.queue().empty() ? "all others" : one.queue()), describe_ms(one.target_wait_ms()),
           std::to_string(one.weight()), with_thousands(one.queued()), with_thousands(one.leased()),
           one.queued() > 0 ? describe_ms(one.oldest_wait_ms()) : "-", describe_duration(arrives)});
    }
    text += table(rows);
  }
  if (state.boot_times_size() > 0) {
    std::vector<std::vector<std::string>> rows{{"  MACHINES", "BOOTS", "HALF WITHIN", "NINE IN TEN WITHIN"}};
    for (const auto& one : state.boot_times()) {
      rows.push_back({"  " + (one.type().empty() ? "of any type" : one.type()), with_thousands(one.count()),
                      describe_ms(one.p50_ms()), describe_ms(one.p90_ms())});
    }
    text += table(rows);
  }
  return text;
}

int explain_scaling(const Context& context, Remote& remote, std::uint32_t limit) {
  auto scaling = remote.wait<v1::ScalingReply>([&](client::Client& client, auto done) {
    client.scaling(limit, remote.within(kCallTimeout), std::move(done));
  });
  if (!scaling) return report(scaling.error());
  if (context.is_json) {
    std::printf("%s\n", api::to_json(scaling.value()).c_str());
    return api::kExitOk;
  }
  std::printf("%s\n", scaling.value().explanation().c_str());
  std::printf("%s", describe_learned(scaling.value().state()).c_str());
  if (scaling.value().parts_size() > 1) std::printf("%s", describe_parts(scaling.value()).c_str());
  for (const auto& decision : scaling.value().decisions()) {
    std::printf("  %s  %-9s wanted %u, running %u, booting %u, queued %llu: %s\n",
                format_instant(from_unix_ms(decision.at_ms())).c_str(), decision.action().c_str(),
                decision.wanted(), decision.running(), decision.booting(),
                static_cast<unsigned long long>(decision.queued()), decision.reason().c_str());
  }
  return api::kExitOk;
}

void print_lines(const std::string& title, const google::protobuf::RepeatedPtrField<v1::CostLine>& lines) {
  if (lines.empty()) return;
  std::vector<std::vector<std::string>> rows{{title, "ATTEMPTS", "SLOT TIME", "COST", "OF IT BOOT AND IDLE"}};
  for (const auto& line : lines) {
    rows.push_back({line.name(), with_thousands(line.attempts()),
                    describe_duration(milliseconds(static_cast<std::int64_t>(line.seconds() * 1e3))),
                    scaler::describe_money(line.used() + line.overhead()),
                    scaler::describe_money(line.overhead())});
  }
  std::printf("\n%s", table(rows).c_str());
}

int explain_cost(const Context& context, Remote& remote) {
  auto cost = remote.wait<v1::CostReply>(
      [&](client::Client& client, auto done) { client.cost(remote.within(kCallTimeout), std::move(done)); });
  if (!cost) return report(cost.error());
  const auto& reply = cost.value();
  if (context.is_json) {
    std::printf("%s\n", api::to_json(reply).c_str());
    return api::kExitOk;
  }
  using scaler::describe_money;
  std::printf(
      "Workers cost %s since %s at %s an hour each: %s while they ran tasks, %s of boot and idle that tasks "
      "took with it, and %s that no task has taken.\n",
      describe_money(reply.cost()).c_str(), format_instant(from_unix_ms(reply.since_ms())).c_str(),
      describe_money(reply.price_hour()).c_str(), describe_money(reply.tasks().used()).c_str(),
      describe_money(reply.tasks().overhead()).c_str(), describe_money(reply.idle()).c_str());
  print_lines("QUEUE", reply.queues());
  print_lines("TAG", reply.tags());
  return api::kExitOk;
}

int explain_worker(const Context& context, Remote& remote, const std::string& id) {
  auto workers = remote.wait<v1::WorkersReply>([&](client::Client& client, auto done) {
    client.workers(remote.within(kCallTimeout), std::move(done));
  });
  if (!workers) return report(workers.error());
  for (const auto& worker : workers.value().workers()) {
    if (worker.id() != id && worker.name() != id) continue;
    if (context.is_json) {
      std::printf("%s\n", api::to_json(worker).c_str());
      return api::kExitOk;
    }
    const Duration silence = remote.clock().now() - from_unix_ms(worker.heard_at_ms());
    std::printf(
        "Worker %s (%s, pid %lld on %s) is %s: heard from %s ago, holds %u %s in %u %s, completed "
        "%llu, failed %llu.\n",
        worker.id().c_str(), worker.name().c_str(), static_cast<long long>(worker.pid()),
        worker.host().c_str(), worker.state().c_str(),
        describe_duration(std::max(Duration::zero(), silence)).c_str(), worker.leases(),
        worker.leases() == 1 ? "task" : "tasks", worker.slots(), worker.slots() == 1 ? "slot" : "slots",
        static_cast<unsigned long long>(worker.completed()),
        static_cast<unsigned long long>(worker.failed()));
    if (!worker.notice().empty()) std::printf("Its machine was told: %s.\n", worker.notice().c_str());
    if (worker.mismatches() > 0)
      std::printf("It is suspect: %llu of its results differ from the accepted ones.\n",
                  static_cast<unsigned long long>(worker.mismatches()));
    return api::kExitOk;
  }
  return report(fail(Code::kNotFound, "there is no worker '" + id + "': skep status lists them"));
}

void add_explain(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("explain", "Why a task, the fleet or a worker is as it is");
  command->footer("Example: skep explain task 00000g00000000000001\n         skep explain scaling");
  auto what = std::make_shared<std::string>();
  auto id = std::make_shared<std::string>();
  auto limit = std::make_shared<std::uint32_t>(20);
  command->add_option("WHAT", *what, "task, scaling, cost or worker")
      ->required()
      ->check(CLI::IsMember({"task", "scaling", "cost", "worker"}));
  command->add_option("ID", *id, "Id of the task or worker");
  command->add_option("--limit", *limit, "Decisions to show")->check(CLI::Range(1, 1000));
  add_client_options(*command, context);
  context.actions[command] = [&context, what, id, limit] {
    if (*what != "scaling" && *what != "cost" && id->empty())
      return report(fail(Code::kInvalid, "skep explain " + *what + " wants an ID"));
    const auto remote = Remote::connect(context);
    if (!remote) return report(remote.error());
    if (*what == "cost") return explain_cost(context, *remote.value());
    if (*what == "scaling") return explain_scaling(context, *remote.value(), *limit);
    return *what == "task" ? explain_task(context, *remote.value(), *id)
                           : explain_worker(context, *remote.value(), *id);
  };
}

}  // namespace

void add_status_commands(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("status", "Show tasks, queues, workers and scaling");
  command->footer("Example: skep status --watch");
  auto is_watch = std::make_shared<bool>(false);
  command->add_flag("--watch", *is_watch, "Again each second");
  add_client_options(*command, context);
  context.actions[command] = [&context, is_watch] { return status(context, *is_watch); };
  add_explain(app, context);
}

}  // namespace skep::cli
