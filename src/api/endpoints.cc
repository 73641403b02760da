// SPDX-License-Identifier: Apache-2.0
#include "api/endpoints.h"

#include <array>

#include "base/check.h"

namespace skep::api {
namespace {

constexpr Param kIterationsParam[] = {{"iterations", "how many hashes, from 1", true}};
constexpr Param kTopParam[] = {{"top", "how many results at most, from 1", true}};
constexpr Param kSiblingParam[] = {{"sibling", "HOST or HOST:PORT of the other manager", true}};
constexpr Param kEnqueueParams[] = {
    {"queue", "name of the queue [default]"},
    {"kind", "sha512 or command [sha512]"},
    {"iterations", "sha512: how many hashes, from 1"},
    {"program", "command: a program that workers list"},
    {"priority", "0-9, 9 goes first [5]"},
    {"max_attempts", "failures before it is dead [5]"},
    {"delay", "before it may start, as 30s"},
    {"start_deadline", "not started so long after it could: dead"},
    {"timeout", "of one attempt, as 5m"},
    {"tag", "may be repeated", false, true},
    {"checkpoint", "sha512: false keeps nothing for the next attempt [true]"},
};
constexpr Param kListParams[] = {
    {"state", "delayed, queued, leased, done, dead or cancelled"},
    {"queue", "only this queue"},
    {"tag", "only tasks with this tag"},
    {"limit", "1-1000 [100]"},
    {"cursor", "next_cursor of the page before"},
};
constexpr Param kWaitParam[] = {{"wait", "answer when the task is finished or after this long, as 30s"}};
constexpr Param kPullParams[] = {
    {"max", "how many results at most, 1-10000 [100]"},
    {"wait", "answer when there is a result or after this long, as 30s"},
    {"queue", "only this queue"},
};
constexpr Param kScalingParams[] = {{"limit", "decisions, newest first, 1-1000 [50]"}};
constexpr Param kReleaseAll[] = {{"reason", "one sentence for the log"}};

using E = Endpoint;
constexpr auto kNone = BodyIs::kNone;
constexpr auto kRaw = BodyIs::kRaw;
constexpr auto kMessage = BodyIs::kMessage;

constexpr std::array kEndpoints = {
    EndpointInfo{E::kSeedEnqueue, "PUT", "/enqueue", "Enqueue a body to be hashed N times", kRaw, "", "",
                 kIterationsParam},
    EndpointInfo{E::kSeedPullCompleted, "POST", "/pullCompleted", "Take the oldest results, each once", kRaw,
                 "", "", kTopParam},
    EndpointInfo{E::kSeedRegisterSibling, "POST", "/register_sibling", "Make another manager known", kRaw, "",
                 "", kSiblingParam},
    EndpointInfo{E::kSeedGetManagers,
                 "GET",
                 "/get_managers",
                 "The managers that this one knows, itself first",
                 kNone,
                 "",
                 "",
                 {}},
    EndpointInfo{
        E::kSeedGetWork, "GET", "/getwork", "Lease one task to the peer's address", kNone, "", "", {}},
    EndpointInfo{E::kSeedPushResult,
                 "POST",
                 "/pushResult",
                 "Complete the oldest lease of the peer's address",
                 kRaw,
                 "",
                 "",
                 {}},

    EndpointInfo{E::kEnqueue, "POST", "/v1/tasks", "Enqueue a task; the body is its body", kRaw, "",
                 "EnqueueReply", kEnqueueParams},
    EndpointInfo{E::kEnqueueBatch,
                 "POST",
                 "/v1/tasks:batch",
                 "Enqueue many tasks, all or none",
                 kMessage,
                 "EnqueueBatchRequest",
                 "EnqueueBatchReply",
                 {}},
    EndpointInfo{E::kListTasks, "GET", "/v1/tasks", "List tasks by state, queue or tag", kNone, "",
                 "ListTasksReply", kListParams},
    EndpointInfo{E::kGetTask, "GET", "/v1/tasks/{id}",
                 "One task, with its attempts and why it is where it is", kNone, "", "Task", kWaitParam},
    EndpointInfo{E::kGetResult, "GET", "/v1/tasks/{id}/result", "The result's bytes", kNone, "", "", {}},
    EndpointInfo{
        E::kCancelTask, "DELETE", "/v1/tasks/{id}", "Cancel an unfinished task", kNone, "", "Task", {}},
    EndpointInfo{E::kRetryTask,
                 "POST",
                 "/v1/tasks/{id}:retry",
                 "Queue a dead task again with fresh budgets",
                 kNone,
                 "",
                 "Task",
                 {}},
    EndpointInfo{E::kPullResults, "POST", "/v1/results:pull", "Take results until they are acknowledged",
                 kNone, "", "PullReply", kPullParams},
    EndpointInfo{E::kAckResults,
                 "POST",
                 "/v1/results:ack",
                 "Acknowledge pulled results",
                 kMessage,
                 "AckRequest",
                 "AckReply",
                 {}},

    EndpointInfo{E::kRegisterWorker,
                 "POST",
                 "/v1/workers",
                 "Register a worker",
                 kMessage,
                 "RegisterRequest",
                 "RegisterReply",
                 {}},
    EndpointInfo{E::kListWorkers, "GET", "/v1/workers", "The workers", kNone, "", "WorkersReply", {}},
    EndpointInfo{E::kHeartbeat,
                 "POST",
                 "/v1/workers/{id}:heartbeat",
                 "Extend every lease that the worker holds",
                 kMessage,
                 "HeartbeatRequest",
                 "HeartbeatReply",
                 {}},
    EndpointInfo{E::kDrainWorker,
                 "POST",
                 "/v1/workers/{id}:drain",
                 "Ask a worker to finish and exit",
                 kNone,
                 "",
                 "Worker",
                 {}},
    EndpointInfo{E::kDeleteWorker, "DELETE", "/v1/workers/{id}", "A worker leaves; what it holds goes back",
                 kNone, "", "Worker", kReleaseAll},
    EndpointInfo{E::kLoseWorker,
                 "POST",
                 "/v1/workers/{id}:lose",
                 "For managers: a worker is lost; what it holds goes back",
                 kMessage,
                 "LoseWorkerRequest",
                 "LoseWorkerReply",
                 {}},
    EndpointInfo{E::kAcquire,
                 "POST",
                 "/v1/leases:acquire",
                 "Lease tasks, waiting for them if asked",
                 kMessage,
                 "AcquireRequest",
                 "AcquireReply",
                 {}},
    EndpointInfo{E::kComplete,
                 "POST",
                 "/v1/leases:complete",
                 "Results and failures of leased tasks",
                 kMessage,
                 "CompleteRequest",
                 "CompleteReply",
                 {}},
    EndpointInfo{E::kRelease,
                 "POST",
                 "/v1/leases:release",
                 "Hand leased tasks back",
                 kMessage,
                 "ReleaseRequest",
                 "ReleaseReply",
                 {}},

    EndpointInfo{
        E::kCluster, "GET", "/v1/cluster", "The whole state in numbers", kNone, "", "ClusterReply", {}},
    EndpointInfo{E::kListQueues, "GET", "/v1/queues", "The queues", kNone, "", "QueuesReply", {}},
    EndpointInfo{E::kPatchQueue,
                 "PATCH",
                 "/v1/queues/{name}",
                 "Pause a queue, set its limits",
                 kMessage,
                 "PatchQueueRequest",
                 "Queue",
                 {}},
    EndpointInfo{E::kScaling, "GET", "/v1/scaling", "The wanted size and the decisions with their reasons",
                 kNone, "", "ScalingReply", kScalingParams},
    EndpointInfo{E::kEvents, "GET", "/v1/events", "What happens, as server-sent events", kNone, "", "", {}},
    EndpointInfo{E::kMetrics, "GET", "/metrics", "Prometheus metrics", kNone, "", "", {}},
    EndpointInfo{E::kHealth, "GET", "/healthz", "200 while the process answers", kNone, "", "", {}},
    EndpointInfo{E::kReady,
                 "GET",
                 "/readyz",
                 "200 while tasks can be enqueued, else 503 with the reason",
                 kNone,
                 "",
                 "",
                 {}},
    EndpointInfo{E::kOpenApi, "GET", "/openapi.json", "This API as OpenAPI 3.1", kNone, "", "", {}},
    EndpointInfo{E::kRoot, "GET", "/", "A page that says what this is", kNone, "", "", {}},
};

}  // namespace

std::span<const EndpointInfo> endpoints() {
  return kEndpoints;
}

const EndpointInfo& info(Endpoint endpoint) {
  const auto& row = kEndpoints[static_cast<std::size_t>(endpoint)];
  SKEP_CHECK(row.endpoint == endpoint, "the table of endpoints is not in the order of the enum");
  return row;
}

}  // namespace skep::api
