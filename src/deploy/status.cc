// SPDX-License-Identifier: Apache-2.0
#include "deploy/status.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "deploy/plan.h"

namespace skep::deploy {
namespace {

constexpr double kMonthHours = 730;

std::string count_of(std::size_t count, const std::string& what) {
  return std::to_string(count) + " x " + what;
}

class Examiner {
 public:
  Examiner(const Names& names, const Found& found, const Readiness& readiness)
      : names_(names), found_(found), readiness_(readiness) {}

  aws::Names examine() {
    const auto slots = slots_of(found_);
    if (slots.empty() && found_.instances.empty() && !found_.group && !found_.database) {
      tell("there is no cluster " + names_.cluster() + " in " + names_.region() + ": skep aws up makes one");
      return std::move(told_);
    }
    for (const int slot : slots) manager(slot);
    database();
    identities();
    rest();
    return std::move(told_);
  }

 private:
  void tell(std::string sentence) { told_.push_back(std::move(sentence)); }
  static std::string again() {
    return ": skep aws up, with the flags that it was made with, puts that right";
  }

  void manager(int slot) {
    const std::string name = names_.instance(slot);
    const aws::Instance* one = manager_of(found_, slot);
    const aws::Volume* volume = volume_of(found_, slot);
    if (one == nullptr) {
      tell(name + " does not run" + (volume != nullptr ? "; its data is on " + volume->id : "") + again());
      return;
    }
    if (one->state != "running" && one->state != "pending")
      tell(name + " (" + one->id + ") is " + one->state +
           ": start it, or terminate it and run skep aws up again");
    if (volume != nullptr && volume->instance != one->id) tell(name + " does not have its volume" + again());
    for (const aws::Instance& other : found_.instances) {
      if (is_manager(other) && slot_of(other.tags) == slot && is_alive(other) && &other != one)
        tell(other.id + " is a second " + name + again());
    }
    const auto ready = readiness_.find(slot);
    if (ready != readiness_.end() && ready->second == std::optional<bool>(false))
      tell(name + " answers and is not ready: skep status --manager http://" + one->public_address + ":" +
           std::to_string(kPort) + " says more");
  }

  void database() {
    if (!found_.database && (found_.has_subnet_group || found_.database_group))
      tell("the database " + names_.database() + " is missing" + again());
    if (!found_.database) return;
    const aws::Database& one = *found_.database;
    if (one.status == "stopped" || one.status == "stopping") {
      tell("the database " + one.id + " is " + one.status + ": aws rds start-db-instance " +
           "--db-instance-identifier " + one.id + " starts it");
    } else if (!is_usable(one)) {
      tell("the database " + one.id + " is " + one.status + ": managers answer once it is there");
    }
    if (!one.is_in_two_zones)
      tell("the database " + one.id +
           " is in one zone alone, and ends with it: aws rds modify-db-instance "
           "--db-instance-identifier " +
           one.id + " --multi-az gives it a standby");
    if (!found_.has_parameter(names_.password_parameter()))
      tell("the parameter " + names_.password_parameter() + " with the database's password is missing");
    if (!found_.has_parameter(names_.store_parameter()))
      tell("the parameter " + names_.store_parameter() + " is missing" + again());
  }

  void identities() {
    for (const Part part : kParts) {
      const auto profile = found_.profiles.find(part);
      const bool is_whole = found_.roles.contains(part) && found_.policies.contains(part) &&
                            profile != found_.profiles.end() && !profile->second.roles.empty();
      if (!is_whole)
        tell("the role of " + part_name(part) + "s, its policy or its instance profile is missing" + again());
    }
  }

  void rest() {
    if (!found_.group) tell("the security group " + names_.group() + " is missing" + again());
    for (const aws::IngressRule& rule :
         found_.group ? found_.group->ingress : std::vector<aws::IngressRule>()) {
      if (rule.cidr == "0.0.0.0/0" || rule.cidr == "::/0")
        tell("everybody reaches port " + std::to_string(rule.first_port) +
             ": name narrower ranges with --allow-cidr");
    }
    if (found_.templates.empty()) tell("there is no launch template for workers" + again());
    if (!found_.has_bucket || found_.keys.empty()) tell("there is no package for new instances" + again());
    for (const char* role : {"admin", "client", "worker", "sibling"}) {
      const std::string name = names_.token_parameter(role);
      if (!found_.has_parameter(name)) tell("the parameter " + name + " is missing" + again());
    }
    for (const std::string& sentence : found_.strangers) tell(sentence);
  }

  const Names& names_;
  const Found& found_;
  const Readiness& readiness_;
  aws::Names told_;
};

}  // namespace

double Costs::hour() const {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [](double sum, const Cost& part) { return sum + part.hour; });
}

std::vector<int> slots_of(const Found& found) {
  std::set<int> slots;
  for (const aws::Instance& one : found.instances) {
    if (is_manager(one) && is_alive(one)) slots.insert(slot_of(one.tags));
  }
  for (const aws::Volume& one : found.volumes) slots.insert(slot_of(one.tags));
  for (std::size_t i = 0; i < hosts_of(found.managers).size(); ++i) slots.insert(static_cast<int>(i) + 1);
  slots.erase(0);
  return {slots.begin(), slots.end()};
}

Costs costs_of(const Found& found, const PriceOf& price_of) {
  Costs costs;
  std::map<std::pair<std::string, std::string>, std::size_t> kinds;  // (what for, type) -> how many
  std::size_t instances = 0, addresses = 0;
  for (const aws::Instance& one : found.instances) {
    if (one.state != "pending" && one.state != "running") continue;
    ++instances;
    addresses += one.public_address.empty() ? 0 : 1;
    const std::string what = is_manager(one) ? "managers" : one.is_spot ? "spot workers, at most" : "workers";
    ++kinds[{what, one.type}];
  }
  std::set<std::string> unpriced;
  for (const auto& [kind, count] : kinds) {
    const double price = price_of(kind.second);
    if (price <= 0) unpriced.insert(kind.second);
    costs.parts.push_back(
        {count_of(count, kind.second) + ", " + kind.first, price * static_cast<double>(count)});
  }
  int gib = static_cast<int>(instances) * kRootVolumeGib;
  for (const aws::Volume& one : found.volumes) gib += one.size_gib;
  if (gib > 0)
    costs.parts.push_back({std::to_string(gib) + " GiB of volumes", gib * kVolumeGibMonth / kMonthHours});
  if (addresses > 0)
    costs.parts.push_back(
        {count_of(addresses, "public address"), kAddressHour * static_cast<double>(addresses)});
  if (found.database) {
    const aws::Database& database = *found.database;
    const double price = price_of(database.type);
    if (price <= 0) unpriced.insert(database.type);
    costs.parts.push_back({database.type + " in two zones, database", price});
    costs.parts.push_back({std::to_string(database.size_gib) + " GiB of the database",
                           database.size_gib * kDatabaseGibMonth / kMonthHours});
  }
  costs.unpriced.assign(unpriced.begin(), unpriced.end());
  return costs;
}

aws::Names problems_of(const Names& names, const Found& found, const Readiness& readiness) {
  return Examiner(names, found, readiness).examine();
}

}  // namespace skep::deploy
