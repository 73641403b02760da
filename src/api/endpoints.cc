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
    {"parameter", "command: NAME=VALUE; may be repeated", false, true},
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
constexpr Param kGetTaskParams[] = {
    {"wait", "answer when the task is finished or after this long, as 30s"},
    {"result", "false leaves the result out [true; a token of role viewer always gets none]"},
};
constexpr Param kPullParams[] = {
    {"max", "how many results at most, 1-10000 [100]"},
    {"wait", "answer when there is a result or after this long, as 30s"},
    {"queue", "only this queue"},
};
constexpr Param kScalingParams[] = {{"limit", "decisions, newest first, 1-1000 [50]"},
                                    {"until_ms", "only decisions until then, milliseconds since 1970"}};
constexpr Param kDecisionsParams[] = {{"task", "only those about this task"},
                                      {"worker", "only those about this worker, or a task that it had"},
                                      {"limit", "newest first, 1-1000 [50]"},
                                      {"until_ms", "only those until then, milliseconds since 1970"}};
constexpr Param kEventsParams[] = {{"kind", "only these: task, worker, scaling or store", false, true}};
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
                 "One task, with its attempts and why it is where it is", kNone, "", "Task", kGetTaskParams},
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
    EndpointInfo{E::kGetWorker,
                 "GET",
                 "/v1/workers/{id}",
                 "One worker, with what it computes",
                 kNone,
                 "",
                 "Worker",
                 {}},
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
    EndpointInfo{E::kShareFleet,
                 "POST",
                 "/v1/scaling:share",
                 "For managers: the leader's share for another one's provisioner, and how things are there",
                 kMessage,
                 "ShareRequest",
                 "ShareReply",
                 {}},
    EndpointInfo{E::kLive,
                 "GET",
                 "/v1/live",
                 "What was, then the whole state each second, as server-sent events",
                 kNone,
                 "",
                 "",
                 {}},
    EndpointInfo{E::kOrderFleet,
                 "PUT",
                 "/v1/scaling/order",
                 "Order a size of the fleet, or a pause, for a while",
                 kMessage,
                 "OrderFleetRequest",
                 "ScalingState",
                 {}},
    EndpointInfo{E::kEndFleetOrder,
                 "DELETE",
                 "/v1/scaling/order",
                 "The policy sizes the fleet again",
                 kNone,
                 "",
                 "ScalingState",
                 {}},
    EndpointInfo{
        E::kCost, "GET", "/v1/cost", "What workers cost, by queue and tag", kNone, "", "CostReply", {}},
    EndpointInfo{E::kDecisions, "GET", "/v1/decisions",
                 "The last decisions about tasks, workers and the fleet: inputs, rule, outcome", kNone, "",
                 "DecisionsReply", kDecisionsParams},
    EndpointInfo{E::kEvents, "GET", "/v1/events", "What happens, as server-sent events", kNone, "", "",
                 kEventsParams},
    EndpointInfo{E::kListTokens,
                 "GET",
                 "/v1/tokens",
                 "The tokens, without their secrets",
                 kNone,
                 "",
                 "TokensReply",
                 {}},
    EndpointInfo{E::kCreateToken,
                 "POST",
                 "/v1/tokens",
                 "Make a token; its secret is in this answer and nowhere else",
                 kMessage,
                 "CreateTokenRequest",
                 "CreateTokenReply",
                 {}},
    EndpointInfo{E::kRotateToken,
                 "POST",
                 "/v1/tokens/{id}:rotate",
                 "Make a successor of a token, which ends after an overlap",
                 kMessage,
                 "RotateTokenRequest",
                 "CreateTokenReply",
                 {}},
    EndpointInfo{E::kRevokeToken, "DELETE", "/v1/tokens/{id}", "End a token now", kNone, "", "Token", {}},
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
    EndpointInfo{E::kRoot, "GET", "/", "The page for people", kNone, "", "", {}},
};

constexpr RoleSet kEverybody{};
constexpr RoleSet kReaders{Role::kViewer, Role::kClient, Role::kSibling, Role::kAdmin};
constexpr RoleSet kClients{Role::kClient, Role::kSibling, Role::kAdmin};
constexpr RoleSet kWorkers{Role::kWorker, Role::kSibling, Role::kAdmin};
constexpr RoleSet kAnyToken{Role::kViewer, Role::kClient, Role::kWorker, Role::kSibling, Role::kAdmin};
constexpr RoleSet kManagers{Role::kSibling, Role::kAdmin};
constexpr RoleSet kAdmins{Role::kAdmin};

}  // namespace

// A switch without a default: an endpoint that nobody thought of does not compile.
RoleSet allowed_roles(Endpoint endpoint) {
  switch (endpoint) {
    case E::kHealth:
    case E::kReady:
    case E::kOpenApi:
    case E::kRoot:
      return kEverybody;
    case E::kSeedEnqueue:
    case E::kSeedPullCompleted:
    case E::kEnqueue:
    case E::kEnqueueBatch:
    case E::kGetResult:
    case E::kCancelTask:
    case E::kRetryTask:
    case E::kPullResults:
    case E::kAckResults:
      return kClients;
    case E::kListTasks:
    case E::kGetTask:  // without the result
    case E::kListWorkers:
    case E::kGetWorker:
    case E::kCluster:
    case E::kListQueues:
    case E::kScaling:
    case E::kLive:
    case E::kCost:
    case E::kDecisions:
    case E::kEvents:
    case E::kMetrics:
      return kReaders;
    case E::kSeedGetWork:
    case E::kSeedPushResult:
    case E::kRegisterWorker:
    case E::kHeartbeat:
    case E::kDeleteWorker:
    case E::kAcquire:
    case E::kComplete:
    case E::kRelease:
      return kWorkers;
    case E::kSeedGetManagers:
      return kAnyToken;
    case E::kSeedRegisterSibling:  // whoever is registered gets the tokens of those who come by
    case E::kDrainWorker:
    case E::kLoseWorker:
    case E::kShareFleet:
    case E::kPatchQueue:
      return kManagers;
    case E::kOrderFleet:
    case E::kEndFleetOrder:
    case E::kListTokens:
    case E::kCreateToken:
    case E::kRotateToken:
    case E::kRevokeToken:
      return kAdmins;
  }
  return kAdmins;
}

std::string describe(RoleSet roles) {
  if (roles.is_everybody()) return "everybody";
  std::string text;
  for (const Role role : kAllRoles) {
    if (roles.contains(role)) text += (text.empty() ? "" : ", ") + std::string(role_name(role));
  }
  const auto last = text.rfind(", ");
  if (last != std::string::npos) text.replace(last, 2, " or ");
  return text;
}

bool is_for_seed_clients(Endpoint endpoint) {
  return endpoint == E::kSeedEnqueue || endpoint == E::kSeedPullCompleted ||
         endpoint == E::kSeedGetManagers || endpoint == E::kSeedGetWork || endpoint == E::kSeedPushResult;
}

std::span<const EndpointInfo> endpoints() {
  return kEndpoints;
}

const EndpointInfo& info(Endpoint endpoint) {
  const auto& row = kEndpoints[static_cast<std::size_t>(endpoint)];
  SKEP_CHECK(row.endpoint == endpoint, "the table of endpoints is not in the order of the enum");
  return row;
}

}  // namespace skep::api
