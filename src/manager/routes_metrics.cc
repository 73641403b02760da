// SPDX-License-Identifier: Apache-2.0
// GET /metrics. Most figures are kept where they arise and are read when somebody asks: what happens a
// hundred thousand times a second pays for none of this. No label's values are chosen by users.
#include <algorithm>
#include <chrono>

#include "manager/routes.h"

namespace skep::manager {
namespace {

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double from_ms(std::uint64_t ms) {
  return static_cast<double>(ms) * 1e-3;
}

// A counter that somebody else keeps: brought up to its value.
void bring_up(const Counter& counter, std::uint64_t value) {
  const double behind = static_cast<double>(value) - counter.value();
  if (behind > 0) counter.add(behind);
}

void bring_up(Metrics& metrics, std::string_view name, std::string_view help, std::uint64_t value) {
  bring_up(metrics.counter(name, help), value);
}

void set_gauge(Metrics& metrics, std::string_view name, std::string_view help, double value) {
  metrics.gauge(name, help).set(value);
}

// In the unit of the price. A budget of 0 is none, so that it is not there to be compared with.
void set_costs(Metrics& metrics, const api::v1::ScalingState& scaling) {
  if (scaling.price_hour() <= 0) return;
  const auto cost = metrics.gauges("skep_cost", "Cost of workers since the start: used, overhead, idle");
  cost.with({{"line", "used"}}).set(scaling.cost_used());
  cost.with({{"line", "overhead"}}).set(scaling.cost_overhead());
  cost.with({{"line", "idle"}}).set(scaling.cost_idle());
  set_gauge(metrics, "skep_cost_month", "Cost of workers in this month, of all managers of the store",
            scaling.spent_month());
  const double price = scaling.price_hour();
  set_gauge(metrics, "skep_worker_price", "Cost of one worker for an hour", price);
  if (scaling.budget_month() > 0)
    set_gauge(metrics, "skep_budget_month", "What the workers of a month may cost", scaling.budget_month());
  if (scaling.budget_hour() > 0)
    set_gauge(metrics, "skep_budget_hour", "What the workers of an hour may cost", scaling.budget_hour());
}

void set_scaling(Metrics& metrics, const api::v1::ScalingState& scaling) {
  set_gauge(metrics, "skep_workers_wanted", "Workers that the scaling policy wants", scaling.wanted());
  set_gauge(metrics, "skep_workers_booting", "Workers started and not yet heard from", scaling.booting());
  set_gauge(metrics, "skep_workers_min", "Workers that there shall be at least", scaling.min_workers());
  set_gauge(metrics, "skep_workers_max", "Workers that there may be at most", scaling.max_workers());
  set_gauge(metrics, "skep_scaler_able", "1 while the scaler can do what it wants",
            scaling.problem().empty() ? 1 : 0);
  set_gauge(metrics, "skep_scaler_by_order", "1 while an order of a person sizes the fleet, or holds it",
            scaling.mode() == "ordered" || scaling.mode() == "paused" ? 1 : 0);
  bring_up(metrics, "skep_workers_started_total", "Workers that the provisioner started", scaling.started());
  bring_up(metrics, "skep_workers_stopped_total", "Workers that ended as asked", scaling.stopped());
  bring_up(metrics, "skep_workers_crashed_total", "Workers that ended unasked", scaling.crashed());
  bring_up(metrics, "skep_boot_failures_total", "Workers that were not started, or never heard from",
           scaling.boot_failures());
  set_costs(metrics, scaling);
}

void set_scaler(Metrics& metrics, const scaler::Scaler* scaler) {
  if (scaler == nullptr) return;
  const scaler::ActionTotals& totals = scaler->action_totals();
  set_gauge(metrics, "skep_target_wait_seconds", "The wait that the fleet is sized for",
            in_seconds(scaler->bounds().target_wait));
  bring_up(metrics, "skep_scaler_decisions_total", "Decisions that differ from the one before",
           totals.decisions);
  const auto actions = metrics.counters("skep_scaler_actions_total", "What the scaler did, by action");
  bring_up(actions.with({{"action", "launch"}}), totals.launches);
  bring_up(actions.with({{"action", "drain"}}), totals.drains);
  bring_up(actions.with({{"action", "terminate"}}), totals.terminations);
  bring_up(actions.with({{"action", "forget"}}), totals.forgotten);
}

void set_tasks(Metrics& metrics, const api::v1::ClusterReply& cluster) {
  const auto tasks = metrics.gauges("skep_tasks", "Tasks kept, by state");
  const auto set = [&](const char* state, std::uint64_t count) {
    tasks.with({{"state", state}}).set(static_cast<double>(count));
  };
  set("delayed", cluster.tasks().delayed());
  set("queued", cluster.tasks().queued());
  set("leased", cluster.tasks().leased());
  set("done", cluster.tasks().done());
  set("dead", cluster.tasks().dead());
  set("cancelled", cluster.tasks().cancelled());
  set_gauge(metrics, "skep_results_undelivered", "Results that nobody has pulled yet",
            static_cast<double>(cluster.tasks().undelivered()));
  set_gauge(metrics, "skep_backlog_seconds", "Work of the queued and leased tasks, in seconds of one slot",
            cluster.backlog_seconds());
  set_gauge(metrics, "skep_oldest_queued_seconds", "Age of the task that waits longest; 0 if none waits",
            from_ms(cluster.oldest_queued_ms()));
}

void set_totals(Metrics& metrics, const api::v1::Totals& totals) {
  const auto since_start = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    bring_up(metrics, name, help, value);
  };
  since_start("skep_tasks_enqueued_total", "Tasks accepted", totals.enqueued());
  since_start("skep_leases_total", "Leases given", totals.leased());
  since_start("skep_tasks_completed_total", "Results accepted", totals.completed());
  since_start("skep_attempts_failed_total", "Attempts that failed", totals.failed());
  since_start("skep_tasks_retried_total", "Tasks that run again after a failed attempt, or by hand",
              totals.retried());
  since_start("skep_tasks_dead_total", "Tasks that gave up", totals.dead());
  since_start("skep_tasks_cancelled_total", "Tasks cancelled", totals.cancelled());
  since_start("skep_results_delivered_total", "Results pulled or acknowledged", totals.delivered());
  since_start("skep_leases_lost_total", "Leases that went back with a lost worker", totals.workers_lost());
  since_start("skep_leases_expired_total", "Leases that ran out", totals.lease_expired());
  since_start("skep_leases_released_total", "Leases handed back", totals.released());
  since_start("skep_results_duplicate_total", "Results of tasks that had one", totals.duplicate_results());
  since_start("skep_results_mismatch_total", "Duplicate results that differ", totals.mismatches());
  since_start("skep_checkpoints_total", "Checkpoints stored", totals.checkpoints());
  since_start("skep_checkpoints_refused_total", "Malformed checkpoints of workers",
              totals.checkpoints_refused());
}

void set_workers(Metrics& metrics, const Service& service, const api::v1::ClusterReply& cluster) {
  std::uint32_t lost = 0;
  for (const auto& [id, worker] : service.workers_seen().all()) lost += worker.is_lost ? 1 : 0;
  const auto workers =
      metrics.gauges("skep_workers", "Workers heard from, by state; lost ones for 5 minutes");
  workers.with({{"state", "active"}}).set(cluster.workers_active());
  workers.with({{"state", "draining"}}).set(cluster.workers_draining());
  workers.with({{"state", "lost"}}).set(lost);
  set_gauge(metrics, "skep_worker_slots", "Slots of the active workers", cluster.slots());
}

// A reason that does not hold is 0 and not absent: an alert must see it end.
void set_refusals(Metrics& metrics, const api::v1::ClusterReply& cluster) {
  const auto refused = metrics.gauges(
      "skep_enqueue_refused", "Whether new tasks are refused now, by reason: 1, or how many queues are full");
  for (const char* reason : {"draining", "store", "disk", "queue_full"}) {
    const auto& all = cluster.refusals();
    const auto count = std::count_if(all.begin(), all.end(),
                                     [&](const auto& refusal) { return refusal.reason() == reason; });
    refused.with({{"reason", reason}}).set(static_cast<double>(count));
  }
}

void set_store(Metrics& metrics, const Service& service, const api::v1::ClusterReply& cluster) {
  set_gauge(metrics, "skep_ready", "1 while the manager serves, and does not drain",
            service.readiness() ? 1 : 0);
  set_gauge(metrics, "skep_shards_owned", "Shards that this manager serves", cluster.shards_size());
  set_gauge(metrics, "skep_shards", "Shards of the store, whoever serves them", service.shard_count());
  set_gauge(metrics, "skep_store_available", "1 while the store serves", cluster.store().available() ? 1 : 0);
  set_gauge(metrics, "skep_store_disk_bytes", "Disk space that the store uses",
            static_cast<double>(cluster.store().disk_bytes()));
  set_gauge(metrics, "skep_store_free_bytes", "Disk space left where the store is",
            static_cast<double>(cluster.store().free_bytes()));
  const auto& commits = service.host().commit_stats();
  set_gauge(metrics, "skep_commit_last_seconds", "Time that the last commit took", in_seconds(commits.last));
  bring_up(metrics, "skep_commits_total", "Commits handed to the store", commits.commits);
  bring_up(metrics, "skep_commits_failed_total", "Commits that failed, or whose outcome is unknown",
           commits.failed);
  bring_up(metrics, "skep_commit_requests_total", "Requests that commits answered", commits.requests);
  bring_up(metrics, "skep_commit_payload_bytes_total", "Bodies and results handed to the store",
           commits.payload_bytes);
}

std::vector<ShownTally> tallies_of(const Service& service) {
  const auto& commits = service.host().commit_stats();
  return {
      {"skep_task_wait_seconds", "Time that tasks waited for a worker once they could run",
       &service.wait_tally()},
      {"skep_attempt_run_seconds", "Time that attempts ran, as their workers say", &service.run_tally()},
      {"skep_commit_seconds", "Time from the hand-over of a commit to its outcome", &commits.took},
      {"skep_commit_changes", "Changes of records in one commit", &commits.changes},
  };
}

void metrics(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    binder.service.cluster([&binder, call](Result<api::v1::ClusterReply> cluster) {
      if (!cluster) return binder.refuse(call, cluster.error());
      const Service& service = binder.service;
      set_tasks(binder.metrics, cluster.value());
      set_totals(binder.metrics, cluster.value().totals());
      set_workers(binder.metrics, service, cluster.value());
      set_scaling(binder.metrics, cluster.value().scaling());
      set_scaler(binder.metrics, service.scaler());
      set_store(binder.metrics, service, cluster.value());
      set_refusals(binder.metrics, cluster.value());
      binder.metrics.gauges("skep_build_info", "1; the label is the version that runs")
          .with({{"version", SKEP_VERSION}})
          .set(1);
      binder.send(
          call, http::Response::text(200, Metrics::kContentType, binder.metrics.expose(tallies_of(service))));
    });
  });
}

}  // namespace

void bind_metrics_route(Binder& binder) {
  binder.bind(api::Endpoint::kMetrics, [&binder](CallPtr call) { metrics(binder, std::move(call)); });
}

}  // namespace skep::manager
