// SPDX-License-Identifier: Apache-2.0
// The table of endpoints and the OpenAPI document made from it. Method: walk the table, look each row up.
#include "api/endpoints.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <map>
#include <set>
#include <string>

#include "api/decisions.pb.h"
#include "api/openapi.h"
#include "api/skep.pb.h"

namespace skep::api {
namespace {

namespace json = boost::json;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

const json::object& document() {
  static const json::value value = json::parse(openapi_json());
  return value.get_object();
}

const json::object& operation(const EndpointInfo& row) {
  return document().at("paths").at(std::string(row.path)).at(lower(row.method)).get_object();
}

void find_references(const json::value& value, std::set<std::string>& out) {
  if (value.is_array()) {
    for (const auto& item : value.get_array()) find_references(item, out);
  } else if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      if (member.key() == "$ref") out.insert(std::string(member.value().as_string()));
      find_references(member.value(), out);
    }
  }
}

TEST(Endpoints, TableStandsInTheOrderOfTheEnum) {
  for (std::size_t i = 0; i < endpoints().size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(endpoints()[i].endpoint), i);
    EXPECT_EQ(&info(endpoints()[i].endpoint), &endpoints()[i]);
  }
  EXPECT_EQ(static_cast<std::size_t>(Endpoint::kRoot) + 1, endpoints().size());
}

TEST(Endpoints, NoTwoRowsShareMethodAndPath) {
  std::set<std::string> seen;
  for (const auto& row : endpoints()) {
    EXPECT_TRUE(seen.insert(std::string(row.method) + " " + std::string(row.path)).second) << row.path;
  }
}

TEST(Endpoints, MessagesNamedInTheTableExist) {
  const auto& pool = *v1::DecisionsReply::descriptor()->file()->pool();
  for (const auto& row : endpoints()) {
    EXPECT_EQ(row.body == BodyIs::kMessage, !row.request.empty()) << row.path;
    for (const auto name : {row.request, row.reply}) {
      if (name.empty()) continue;
      EXPECT_NE(pool.FindMessageTypeByName("skep.api.v1." + std::string(name)), nullptr) << name;
    }
  }
}

// The whole table of who may call what. Nothing of the product is used to make it.
TEST(Endpoints, AreForTheRolesOfThisTable) {
  const std::map<std::string, std::set<std::string>> others{
      {"", {"GET /healthz", "GET /readyz", "GET /openapi.json", "GET /"}},
      {"w",
       {"GET /getwork", "POST /pushResult", "POST /v1/workers", "POST /v1/workers/{id}:heartbeat",
        "DELETE /v1/workers/{id}", "POST /v1/leases:acquire", "POST /v1/leases:complete",
        "POST /v1/leases:release"}},
      {"vc",
       {"GET /v1/tasks", "GET /v1/tasks/{id}", "GET /v1/workers", "GET /v1/workers/{id}", "GET /v1/cluster",
        "GET /v1/queues", "GET /v1/scaling", "GET /v1/live", "GET /v1/cost", "GET /v1/decisions",
        "GET /v1/events", "GET /metrics"}},
      {"vcw", {"GET /get_managers"}},
      {"s",
       {"POST /register_sibling", "POST /v1/workers/{id}:drain", "POST /v1/workers/{id}:lose",
        "POST /v1/scaling:share", "PATCH /v1/queues/{name}"}},
      {"a",
       {"PUT /v1/scaling/order", "DELETE /v1/scaling/order", "GET /v1/tokens", "POST /v1/tokens",
        "POST /v1/tokens/{id}:rotate", "DELETE /v1/tokens/{id}"}}};
  for (const auto& row : endpoints()) {
    const std::string name = std::string(row.method) + " " + std::string(row.path);
    std::string who = "c";
    for (const auto& [key, names] : others) {
      if (names.contains(name)) who = key;
    }
    const RoleSet roles = allowed_roles(row.endpoint);
    EXPECT_EQ(roles.is_everybody(), who.empty()) << name;
    EXPECT_EQ(roles.contains(Role::kViewer), who.find('v') != std::string::npos) << name;
    EXPECT_EQ(roles.contains(Role::kClient), who.find('c') != std::string::npos) << name;
    EXPECT_EQ(roles.contains(Role::kWorker), who.find('w') != std::string::npos) << name;
    EXPECT_EQ(roles.contains(Role::kSibling), !who.empty() && who != "a") << name;
    EXPECT_EQ(roles.contains(Role::kAdmin), !who.empty()) << name;
  }
}

TEST(Endpoints, RolesAreDescribedForPeople) {
  EXPECT_EQ(describe(allowed_roles(Endpoint::kHealth)), "everybody");
  EXPECT_EQ(describe(allowed_roles(Endpoint::kEnqueue)), "client, sibling or admin");
  EXPECT_EQ(describe(allowed_roles(Endpoint::kListTokens)), "admin");
}

TEST(OpenApi, SaysWhichRolesACallIsFor) {
  EXPECT_TRUE(operation(info(Endpoint::kReady)).at("security").as_array().empty());
  const auto& roles = operation(info(Endpoint::kPatchQueue)).at("security").at(0).at("token").as_array();
  ASSERT_EQ(roles.size(), 2u);
  EXPECT_EQ(roles[0].as_string(), "sibling");
  EXPECT_EQ(roles[1].as_string(), "admin");
  EXPECT_EQ(document().at("components").at("securitySchemes").at("token").at("scheme").as_string(), "bearer");
}

TEST(OpenApi, HasEveryRowAndNoOther) {
  std::size_t operations = 0;
  for (const auto& path : document().at("paths").as_object()) operations += path.value().as_object().size();
  EXPECT_EQ(operations, endpoints().size());
  std::set<std::string> ids;
  for (const auto& row : endpoints()) {
    const auto& found = operation(row);
    EXPECT_EQ(found.at("summary").as_string(), row.summary);
    EXPECT_TRUE(ids.insert(std::string(found.at("operationId").as_string())).second) << row.path;
    EXPECT_TRUE(found.at("responses").as_object().contains("default")) << row.path;
  }
}

TEST(OpenApi, HasEveryParameterOfTheTableAndOfThePath) {
  for (const auto& row : endpoints()) {
    std::set<std::string> names;
    if (const auto* list = operation(row).if_contains("parameters")) {
      for (const auto& item : list->as_array()) names.insert(std::string(item.at("name").as_string()));
    }
    for (const auto& param : row.params) EXPECT_TRUE(names.contains(std::string(param.name))) << row.path;
    EXPECT_EQ(names.contains("id"), row.path.find("{id}") != std::string_view::npos) << row.path;
  }
}

TEST(OpenApi, MessagesAreOfferedInBothContentTypes) {
  const auto& row = info(Endpoint::kComplete);
  for (const auto& content : {operation(row).at("requestBody").at("content"),
                              operation(row).at("responses").at("200").at("content")}) {
    EXPECT_TRUE(content.as_object().contains(kJson));
    EXPECT_TRUE(content.as_object().contains(kProtobuf));
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  std::set<std::string> references;
  find_references(json::value(document()), references);
  EXPECT_GT(references.size(), 20u);
  const json::value root(document());
  for (const auto& text : references) {
    ASSERT_EQ(text.rfind("#/", 0), 0u) << text;
    boost::system::error_code missing;
    EXPECT_NE(root.find_pointer(text.substr(1), missing), nullptr) << text;
  }
}

TEST(OpenApi, BytesAreDescribedInBothForms) {
  const auto& fields = document().at("components").at("schemas").at("Outcome").at("properties").as_object();
  EXPECT_TRUE(fields.contains("result"));
  EXPECT_EQ(fields.at("result_base64").at("contentEncoding").as_string(), "base64");
}

}  // namespace
}  // namespace skep::api
