// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "api/decisions.pb.h"
#include "api/endpoints.h"
#include "api/errors.h"
#include "api/skep.pb.h"
#include "base/check.h"

namespace skep::api {
namespace {

namespace json = boost::json;
namespace pb = google::protobuf;
using E = Endpoint;

// What the table of endpoints does not say: the name of the operation, its group, and what an answer is that
// is not a message.
struct Operation {
  Endpoint endpoint;
  std::string_view id;
  std::string_view tag;
  std::string_view content;  // type of the answer when it is no message
};

constexpr std::string_view kText = "text/plain";
constexpr std::string_view kBytes = "application/octet-stream";

constexpr std::array kOperations = {
    Operation{E::kSeedEnqueue, "seedEnqueue", "seed", kJson},
    Operation{E::kSeedPullCompleted, "seedPullCompleted", "seed", kJson},
    Operation{E::kSeedRegisterSibling, "seedRegisterSibling", "seed", kText},
    Operation{E::kSeedGetManagers, "seedGetManagers", "seed", kJson},
    Operation{E::kSeedGetWork, "seedGetWork", "seed", kBytes},
    Operation{E::kSeedPushResult, "seedPushResult", "seed", kText},
    Operation{E::kEnqueue, "enqueue", "tasks", ""},
    Operation{E::kEnqueueBatch, "enqueueBatch", "tasks", ""},
    Operation{E::kListTasks, "listTasks", "tasks", ""},
    Operation{E::kGetTask, "getTask", "tasks", ""},
    Operation{E::kGetResult, "getResult", "tasks", kBytes},
    Operation{E::kCancelTask, "cancelTask", "tasks", ""},
    Operation{E::kRetryTask, "retryTask", "tasks", ""},
    Operation{E::kPullResults, "pullResults", "results", ""},
    Operation{E::kAckResults, "ackResults", "results", ""},
    Operation{E::kRegisterWorker, "registerWorker", "workers", ""},
    Operation{E::kListWorkers, "listWorkers", "workers", ""},
    Operation{E::kGetWorker, "getWorker", "workers", ""},
    Operation{E::kHeartbeat, "heartbeat", "workers", ""},
    Operation{E::kDrainWorker, "drainWorker", "workers", ""},
    Operation{E::kDeleteWorker, "deleteWorker", "workers", ""},
    Operation{E::kLoseWorker, "loseWorker", "workers", ""},
    Operation{E::kAcquire, "acquire", "workers", ""},
    Operation{E::kComplete, "complete", "workers", ""},
    Operation{E::kRelease, "release", "workers", ""},
    Operation{E::kCluster, "cluster", "system", ""},
    Operation{E::kListQueues, "listQueues", "system", ""},
    Operation{E::kPatchQueue, "patchQueue", "system", ""},
    Operation{E::kScaling, "scaling", "system", ""},
    Operation{E::kShareFleet, "shareFleet", "system", ""},
    Operation{E::kLive, "live", "system", "text/event-stream"},
    Operation{E::kOrderFleet, "orderFleet", "system", ""},
    Operation{E::kEndFleetOrder, "endFleetOrder", "system", ""},
    Operation{E::kCost, "cost", "system", ""},
    Operation{E::kDecisions, "decisions", "system", ""},
    Operation{E::kEvents, "events", "system", "text/event-stream"},
    Operation{E::kListTokens, "listTokens", "tokens", ""},
    Operation{E::kCreateToken, "createToken", "tokens", ""},
    Operation{E::kRotateToken, "rotateToken", "tokens", ""},
    Operation{E::kRevokeToken, "revokeToken", "tokens", ""},
    Operation{E::kMetrics, "metrics", "system", kText},
    Operation{E::kHealth, "health", "system", kText},
    Operation{E::kReady, "ready", "system", kText},
    Operation{E::kOpenApi, "openApi", "system", kJson},
    Operation{E::kRoot, "root", "system", "text/html"},
};

const Operation& operation_of(Endpoint endpoint) {
  const auto& row = kOperations[static_cast<std::size_t>(endpoint)];
  SKEP_CHECK(row.endpoint == endpoint, "the table of operations is not in the order of the enum");
  return row;
}

json::object text_schema() {
  return {{"type", "string"}};
}

json::object integer_schema(bool is_signed) {
  json::object schema{{"type", "integer"}};
  if (!is_signed) schema["minimum"] = 0;
  return schema;
}

json::object reference(std::string_view message) {
  return {{"$ref", "#/components/schemas/" + std::string(message)}};
}

const pb::Descriptor& descriptor_of(std::string_view message) {
  const auto& pool = *v1::DecisionsReply::descriptor()->file()->pool();
  const auto* found = pool.FindMessageTypeByName("skep.api.v1." + std::string(message));
  SKEP_CHECK(found != nullptr, "an endpoint names a message that no schema has");
  return *found;
}

// ---- schemas ----

json::object field_schema(const pb::FieldDescriptor& field) {
  using Type = pb::FieldDescriptor::CppType;
  switch (field.cpp_type()) {
    case Type::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case Type::CPPTYPE_DOUBLE:
      return {{"type", "number"}};
    case Type::CPPTYPE_INT32:
    case Type::CPPTYPE_INT64:
      return integer_schema(true);
    case Type::CPPTYPE_UINT32:
    case Type::CPPTYPE_UINT64:
      return integer_schema(false);
    case Type::CPPTYPE_STRING:
      return text_schema();
    case Type::CPPTYPE_MESSAGE:
      return reference(field.message_type()->name());
    default:
      SKEP_CHECK(false, "skep.proto uses a type that its JSON form does not have");
  }
  return {};
}

json::object message_schema(const pb::Descriptor& type, bool is_request) {
  json::object properties;
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    if (field.type() == pb::FieldDescriptor::TYPE_BYTES) {
      json::object plain = text_schema();
      plain["description"] = "the bytes, when they are UTF-8";
      json::object encoded = text_schema();
      encoded["contentEncoding"] = "base64";
      encoded["description"] = "the bytes, when they are not UTF-8";
      properties[field.name()] = std::move(plain);
      properties[field.name() + "_base64"] = std::move(encoded);
    } else if (field.is_repeated()) {
      properties[field.name()] = json::object{{"type", "array"}, {"items", field_schema(field)}};
    } else {
      properties[field.name()] = field_schema(field);
    }
  }
  json::object schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (is_request) schema["additionalProperties"] = false;  // unknown fields are refused
  return schema;
}

// `type` and every message that it holds.
void collect(const pb::Descriptor& type, std::set<std::string>& names) {
  if (!names.insert(type.name()).second) return;
  for (int i = 0; i < type.field_count(); ++i) {
    if (const auto* inner = type.field(i)->message_type(); inner != nullptr) collect(*inner, names);
  }
}

json::object schemas() {
  std::set<std::string> requests;
  std::set<std::string> all;
  for (const auto& row : endpoints()) {
    if (!row.request.empty()) collect(descriptor_of(row.request), requests);
    if (!row.reply.empty()) collect(descriptor_of(row.reply), all);
  }
  all.insert(requests.begin(), requests.end());
  collect(*v1::Problem::descriptor(), all);
  collect(*v1::Event::descriptor(), all);     // what GET /v1/events sends
  collect(*v1::LiveHead::descriptor(), all);  // what GET /v1/live begins with
  json::object out;
  for (const auto& name : all) out[name] = message_schema(descriptor_of(name), requests.contains(name));
  return out;
}

// ---- operations ----

json::object message_content(std::string_view message) {
  json::object binary{{"type", "string"},
                      {"contentMediaType", kProtobuf},
                      {"description", "message skep.api.v1." + std::string(message)}};
  return {{kJson, json::object{{"schema", reference(message)}}},
          {kProtobuf, json::object{{"schema", std::move(binary)}}}};
}

bool is_number(std::string_view param) {
  constexpr std::array kNumbers = {"iterations", "top", "priority", "max_attempts", "limit", "max"};
  return std::find(kNumbers.begin(), kNumbers.end(), param) != kNumbers.end();
}

bool is_truth(std::string_view param) {
  return param == "checkpoint";
}

json::object parameter(std::string_view in, std::string_view name, std::string_view what, bool is_required) {
  return {{"name", name},
          {"in", in},
          {"description", what},
          {"required", is_required},
          {"schema", text_schema()}};
}

json::array parameters(const EndpointInfo& row) {
  json::array out;
  for (std::size_t open = row.path.find('{'); open != std::string_view::npos;
       open = row.path.find('{', open + 1)) {
    const std::string_view name = row.path.substr(open + 1, row.path.find('}', open) - open - 1);
    out.push_back(parameter("path", name, name == "id" ? "an id that the API gave" : "a name", true));
  }
  for (const auto& param : row.params) {
    json::object item = parameter("query", param.name, param.what, param.required);
    if (is_number(param.name)) item["schema"] = integer_schema(false);
    if (is_truth(param.name)) item["schema"] = json::object{{"type", "boolean"}};
    const bool is_repeated = row.endpoint == E::kEnqueue && param.name == "tag";
    if (is_repeated) item["schema"] = json::object{{"type", "array"}, {"items", text_schema()}};
    out.push_back(std::move(item));
  }
  if (row.endpoint == E::kEnqueue) {
    out.push_back(parameter("header", "Idempotency-Key", "the same key again names the same task", false));
  }
  if (row.endpoint == E::kEnqueue || row.endpoint == E::kEnqueueBatch || row.endpoint == E::kSeedEnqueue) {
    out.push_back(parameter("header", "traceparent", "W3C trace context, kept with the task", false));
    out.push_back(parameter("header", "tracestate", "what goes with traceparent", false));
  }
  return out;
}

json::object responses(const EndpointInfo& row) {
  json::object good{{"description", row.summary}};
  if (!row.reply.empty()) {
    good["content"] = message_content(row.reply);
  } else {
    good["content"] = json::object{{operation_of(row.endpoint).content, json::object{}}};
  }
  json::object out;
  if (row.endpoint == E::kSeedGetWork) {
    good["headers"] = json::object{{"X-Iterations", json::object{{"schema", integer_schema(false)},
                                                                 {"description", "how many hashes"}}}};
    out["204"] = json::object{{"description", "nothing to do"}};
    out["400"] = json::object{{"description", "please exit: this worker is being drained"}};
  }
  out["200"] = std::move(good);
  out["default"] = json::object{{"$ref", "#/components/responses/Problem"}};
  return out;
}

json::object operation(const EndpointInfo& row) {
  const Operation& names = operation_of(row.endpoint);
  json::object out{{"operationId", names.id}, {"tags", json::array{names.tag}}, {"summary", row.summary}};
  if (json::array list = parameters(row); !list.empty()) out["parameters"] = std::move(list);
  if (row.body == BodyIs::kMessage) {
    out["requestBody"] = json::object{{"required", true}, {"content", message_content(row.request)}};
  } else if (row.body == BodyIs::kRaw) {
    out["requestBody"] = json::object{{"content", json::object{{kBytes, json::object{}}}}};
  }
  out["responses"] = responses(row);
  // OpenAPI has roles for bearer tokens since 3.1: the list beside the scheme.
  json::array roles;
  for (const Role role : kAllRoles) {
    if (allowed_roles(row.endpoint).contains(role)) roles.push_back(json::value(role_name(role)));
  }
  if (roles.empty()) {
    out["security"] = json::array{};
  } else {
    out["security"] = json::array{json::object{{"token", std::move(roles)}}};
  }
  return out;
}

json::object paths() {
  json::object out;
  for (const auto& row : endpoints()) {
    std::string method(row.method);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
    if (!out.contains(row.path)) out[row.path] = json::object{};
    out[row.path].get_object()[method] = operation(row);
  }
  return out;
}

json::object problem_response() {
  json::object schema = reference("Problem");
  return {{"description", "an error, as RFC 9457 describes; `code` is stable"},
          {"content", json::object{{kProblemJson, json::object{{"schema", std::move(schema)}}}}}};
}

json::object token_scheme() {
  return {{"type", "http"},
          {"scheme", "bearer"},
          {"description", "a token of one of the roles listed; asked for where a manager has tokens"}};
}

}  // namespace

std::string openapi_json() {
  const json::object document{
      {"openapi", "3.1.0"},
      {"info", json::object{{"title", "skep"},
                            {"version", SKEP_VERSION},
                            {"summary", "an elastic, durable task queue for CPU work"},
                            {"license", json::object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"paths", paths()},
      {"components", json::object{{"schemas", schemas()},
                                  {"responses", json::object{{"Problem", problem_response()}}},
                                  {"securitySchemes", json::object{{"token", token_scheme()}}}}},
  };
  return json::serialize(document);
}

}  // namespace skep::api
