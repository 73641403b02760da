// SPDX-License-Identifier: Apache-2.0
// endpoints.h - the closed table of what the API offers: method, path, query parameters, and to whom.
//
// manager/routes.cc serves exactly this table, client/ calls it, /openapi.json is made from it, and a test
// holds docs/protocol.md against it.
//
// Threads:   immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "task/access_token.h"

namespace skep::api {

enum class Endpoint : std::uint8_t {
  // the seed's protocol
  kSeedEnqueue,
  kSeedPullCompleted,
  kSeedRegisterSibling,
  kSeedGetManagers,
  kSeedGetWork,
  kSeedPushResult,
  // tasks and results
  kEnqueue,
  kEnqueueBatch,
  kListTasks,
  kGetTask,
  kGetResult,
  kCancelTask,
  kRetryTask,
  kPullResults,
  kAckResults,
  // workers
  kRegisterWorker,
  kListWorkers,
  kGetWorker,
  kHeartbeat,
  kDrainWorker,
  kDeleteWorker,
  kLoseWorker,
  kAcquire,
  kComplete,
  kRelease,
  // the system
  kCluster,
  kListQueues,
  kPatchQueue,
  kScaling,
  kShareFleet,
  kLive,
  kOrderFleet,
  kEndFleetOrder,
  kCost,
  kDecisions,
  kEvents,
  kListTokens,
  kCreateToken,
  kRotateToken,
  kRevokeToken,
  kMetrics,
  kHealth,
  kReady,
  kOpenApi,
  kRoot,
};

enum class BodyIs : std::uint8_t {
  kNone,     // a body is refused
  kRaw,      // bytes, whatever the content type says
  kMessage,  // JSON or protobuf by Content-Type
};

struct Param {
  std::string_view name;
  std::string_view what;  // one line for people
  bool required = false;
  bool is_repeatable = false;
};

struct EndpointInfo {
  Endpoint endpoint;
  std::string_view method;
  std::string_view path;  // http/router.h template
  std::string_view summary;
  BodyIs body;
  std::string_view request;  // name of the message in skep.proto; "" if none
  std::string_view reply;    // name of the message; "" if it is not one
  std::span<const Param> params;
};

std::span<const EndpointInfo> endpoints();
const EndpointInfo& info(Endpoint endpoint);

// Who may call an endpoint, where a manager has tokens.
class RoleSet {
 public:
  template <class... Roles>
  constexpr explicit RoleSet(Roles... roles) : bits_((bit(roles) | ... | 0u)) {}
  constexpr bool contains(Role role) const { return (bits_ & bit(role)) != 0; }
  // No token is asked for.
  constexpr bool is_everybody() const { return bits_ == 0; }

 private:
  static constexpr unsigned bit(Role role) { return 1u << static_cast<unsigned>(role); }
  unsigned bits_;
};
RoleSet allowed_roles(Endpoint endpoint);
// "client, sibling or admin".
std::string describe(RoleSet roles);

// What clients and workers of the seed call, which know of no tokens.
bool is_for_seed_clients(Endpoint endpoint);

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kProtobuf = "application/x-protobuf";
inline constexpr std::string_view kProblemJson = "application/problem+json";

}  // namespace skep::api
