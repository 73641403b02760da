// SPDX-License-Identifier: Apache-2.0
// What aws_cluster.h says of skep aws status: what is there, what it costs, what is wrong with it.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/aws_cluster.h"
#include "cli/output.h"
#include "deploy/status.h"
#include "provision/prices.h"

namespace skep::cli {
namespace {

namespace json = boost::json;

constexpr Duration kAnswerPatience = seconds(3);

std::string dollars(double hour) {
  char text[32];
  std::snprintf(text, sizeof text, "$%.4f", hour);
  return text;
}

// Asks each manager that has a public address whether it is ready.
deploy::Readiness ask_managers(AwsSession& session, const deploy::Found& found) {
  deploy::Readiness readiness;
  for (const int slot : deploy::slots_of(found)) {
    const aws::Instance* one = deploy::manager_of(found, slot);
    if (one == nullptr || one->public_address.empty()) continue;
    aws::HttpRequest request;
    request.method = "GET";
    request.origin = "http://" + one->public_address + ":" + std::to_string(deploy::kPort);
    request.path = "/readyz";
    const auto answer = session.transport().exchange(request, kAnswerPatience);
    readiness[slot] = answer ? std::optional(answer.value().status == 200) : std::nullopt;
  }
  return readiness;
}

std::string readiness_of(const deploy::Readiness& readiness, int slot) {
  const auto found = readiness.find(slot);
  if (found == readiness.end() || !found->second) return "not reached from here";
  return *found->second ? "ready" : "not ready";
}

struct Shown {
  const deploy::Names& names;
  const deploy::Found& found;
  deploy::Readiness readiness;
  deploy::Costs costs;
  aws::Names problems;
};

void show_table(const Shown& shown) {
  std::printf("cluster %s in %s\n", shown.names.cluster().c_str(), shown.names.region().c_str());
  std::vector<std::vector<std::string>> rows{
      {"INSTANCE", "FOR", "STATE", "TYPE", "ZONE", "ADDRESS", "READY"}};
  for (const aws::Instance& one : shown.found.instances) {
    const int slot = deploy::slot_of(one.tags);
    const bool is_manager = deploy::is_manager(one);
    rows.push_back({one.id,
                    is_manager    ? "manager " + std::to_string(slot)
                    : one.is_spot ? "worker, spot"
                                  : "worker",
                    one.state, one.type, one.zone,
                    one.public_address.empty() ? one.private_address : one.public_address,
                    is_manager && deploy::is_alive(one) ? readiness_of(shown.readiness, slot) : ""});
  }
  if (rows.size() > 1) std::fputs(table(rows).c_str(), stdout);
  for (const aws::Volume& one : shown.found.volumes) {
    std::printf("data of manager %d: %s, %d GiB in %s, %s\n", deploy::slot_of(one.tags), one.id.c_str(),
                one.size_gib, one.zone.c_str(),
                one.instance.empty() ? "not attached" : ("attached to " + one.instance).c_str());
  }
  if (shown.found.database) {
    const aws::Database& one = *shown.found.database;
    std::printf("database: %s, %s, %d GiB, %s%s%s\n", one.id.c_str(), one.type.c_str(), one.size_gib,
                one.status.c_str(), one.is_in_two_zones ? ", in two zones" : "",
                one.host.empty() ? "" : (", " + one.host + ":" + std::to_string(one.port)).c_str());
  }
  for (const deploy::Cost& part : shown.costs.parts)
    std::printf("costs   %s an hour: %s\n", dollars(part.hour).c_str(), part.what.c_str());
  std::printf(
      "costs   %s an hour in all, by list prices of %s in eu-central-1 (databases: us-east-1), without "
      "traffic "
      "and S3\n",
      dollars(shown.costs.hour()).c_str(), deploy::kVolumePricesOf);
  for (const std::string& type : shown.costs.unpriced)
    std::printf("costs   of %s are not known\n", type.c_str());
  for (const std::string& sentence : shown.problems) std::printf("wrong   %s\n", sentence.c_str());
}

json::array list_of(const aws::Names& texts) {
  json::array list;
  for (const std::string& text : texts) list.emplace_back(api::to_valid_utf8(text));
  return list;
}

void show_json(const Shown& shown) {
  json::array instances, volumes, costs;
  for (const aws::Instance& one : shown.found.instances) {
    json::object item{{"id", one.id},
                      {"for", deploy::is_manager(one) ? "manager" : "worker"},
                      {"state", one.state},
                      {"type", one.type},
                      {"zone", one.zone},
                      {"is_spot", one.is_spot},
                      {"private_address", one.private_address},
                      {"public_address", one.public_address}};
    if (deploy::is_manager(one)) {
      item["slot"] = deploy::slot_of(one.tags);
      item["ready"] = readiness_of(shown.readiness, deploy::slot_of(one.tags));
    }
    instances.emplace_back(std::move(item));
  }
  for (const aws::Volume& one : shown.found.volumes) {
    volumes.push_back(json::object{{"id", one.id},
                                   {"slot", deploy::slot_of(one.tags)},
                                   {"size_gib", one.size_gib},
                                   {"zone", one.zone},
                                   {"instance", one.instance}});
  }
  for (const deploy::Cost& part : shown.costs.parts)
    costs.push_back(json::object{{"what", part.what}, {"dollars_hour", part.hour}});
  json::value database = nullptr;
  if (shown.found.database) {
    const aws::Database& one = *shown.found.database;
    database = json::object{{"id", one.id},
                            {"status", one.status},
                            {"type", one.type},
                            {"size_gib", one.size_gib},
                            {"is_in_two_zones", one.is_in_two_zones},
                            {"address", one.host.empty() ? "" : one.host + ":" + std::to_string(one.port)}};
  }
  const json::object all{
      {"cluster", shown.names.cluster()},     {"region", shown.names.region()},
      {"instances", std::move(instances)},    {"volumes", std::move(volumes)},
      {"database", std::move(database)},      {"costs", std::move(costs)},
      {"dollars_hour", shown.costs.hour()},   {"unpriced_types", list_of(shown.costs.unpriced)},
      {"prices_of", deploy::kVolumePricesOf}, {"problems", list_of(shown.problems)}};
  std::printf("%s\n", json::serialize(all).c_str());
}

}  // namespace

Result<int> run_status(const Context& context, const AwsOptions& options) {
  SKEP_TRY(const auto session, AwsSession::open(options.region, options.profile));
  SKEP_TRY(const std::string account, deploy::find_account(session->client()));
  const deploy::Names names(options.wish.name, session->client().region(), account);
  SKEP_TRY(const deploy::Found found, deploy::Finder(session->client(), names).look());
  Shown shown{names, found, ask_managers(*session, found), {}, {}};
  shown.costs =
      deploy::costs_of(found, [](const std::string& type) { return provision::ec2_price_hour(type); });
  shown.problems = deploy::problems_of(names, found, shown.readiness);
  if (context.is_json) {
    show_json(shown);
  } else {
    show_table(shown);
  }
  return shown.problems.empty() ? api::kExitOk : api::kExitFailure;
}

}  // namespace skep::cli
