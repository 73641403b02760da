// SPDX-License-Identifier: Apache-2.0
// Goal: a status has what a cluster costs and what is wrong with it, and nothing that is right. Method: facts
// with one fault each.
#include "deploy/status.h"

#include <gtest/gtest.h>

namespace skep::deploy {
namespace {

const Names kNames{"prod", "eu-central-1", "123456789012"};

aws::Tags tags_for(const std::string& role, int slot) {
  aws::Tags tags = kNames.tags();
  tags[kRoleTag] = role;
  if (slot > 0) tags[kSlotTag] = std::to_string(slot);
  return tags;
}

aws::Instance instance_of(const std::string& id, const std::string& role, int slot) {
  aws::Instance one;
  one.id = id;
  one.type = "c6i.large";
  one.state = "running";
  one.public_address = "192.0.2.1";
  one.tags = tags_for(role, slot);
  return one;
}

Found sound() {
  Found found;
  found.group = aws::SecurityGroup{"sg-1", kNames.group(), "vpc-1", {}, kNames.tags()};
  for (const Part part : kParts) {
    found.roles[part] = {kNames.role(part), "arn", kNames.tags()};
    found.policies[part] = "{}";
    found.profiles[part] = {kNames.profile(part), "arn", {kNames.role(part)}, kNames.tags()};
  }
  found.has_bucket = true;
  found.keys = {"amd64/abc.deb"};
  for (const char* role : {"admin", "client", "worker", "sibling"})
    found.parameters.push_back(kNames.token_parameter(role));
  found.templates = {{"lt-1", kNames.worker_template("x86_64"), kNames.tags()}};
  found.instances = {instance_of("i-1", "manager", 1), instance_of("i-2", "manager", 2)};
  found.volumes = {{"vol-1", "a", "in-use", "i-1", tags_for("store", 1), 20},
                   {"vol-2", "b", "in-use", "i-2", tags_for("store", 2), 20}};
  return found;
}

std::string told(const Found& found, const Readiness& readiness = {}) {
  std::string text;
  for (const std::string& sentence : problems_of(kNames, found, readiness)) text += sentence + "\n";
  return text;
}

TEST(Status, OfASoundClusterNothingIsWrong) {
  EXPECT_EQ(told(sound()), "");
  EXPECT_EQ(told(sound(), {{1, true}, {2, std::nullopt}}), "");
}

TEST(Status, EachFaultIsTold) {
  const auto with = [](const std::function<void(Found&)>& change) {
    Found found = sound();
    change(found);
    return told(found);
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos && text.find('\n') == text.size() - 1;
  };
  EXPECT_TRUE(has(with([](Found& found) { found.instances.pop_back(); }),
                  "skep-prod-manager-2 does not run; its data is on vol-2"));
  EXPECT_TRUE(has(with([](Found& found) { found.instances[0].state = "stopped"; }), "(i-1) is stopped"));
  EXPECT_TRUE(has(with([](Found& found) { found.volumes[0].instance = ""; }), "does not have its volume"));
  EXPECT_TRUE(has(with([](Found& found) { found.instances.push_back(instance_of("i-3", "manager", 1)); }),
                  "i-3 is a second skep-prod-manager-1"));
  EXPECT_TRUE(has(with([](Found& found) {
                    found.policies.clear();
                    found.policies[Part::kWorker] = "{}";
                  }),
                  "the role of managers"));
  EXPECT_TRUE(
      has(with([](Found& found) { found.group.reset(); }), "the security group skep-prod is missing"));
  EXPECT_TRUE(has(with([](Found& found) {
                    found.group->ingress = {{"tcp", 8080, 8080, "0.0.0.0/0", ""}};
                  }),
                  "everybody reaches port 8080"));
  EXPECT_TRUE(has(with([](Found& found) { found.templates.clear(); }), "no launch template"));
  EXPECT_TRUE(has(with([](Found& found) { found.keys.clear(); }), "no package"));
  EXPECT_TRUE(
      has(with([](Found& found) { found.parameters.pop_back(); }), "/skep/prod/manager/sibling-token"));
  EXPECT_TRUE(has(told(Found()), "there is no cluster prod in eu-central-1"));
  EXPECT_TRUE(has(told(sound(), {{1, false}}), "skep-prod-manager-1 answers and is not ready"));
}

Found on_a_database() {
  Found found = sound();
  found.volumes.clear();
  found.database_group = aws::SecurityGroup{"sg-2", kNames.database_group(), "vpc-1", {}, kNames.tags()};
  found.has_subnet_group = true;
  found.parameters.push_back(kNames.password_parameter());
  found.parameters.push_back(kNames.store_parameter());
  found.database.emplace();
  found.database->id = kNames.database();
  found.database->status = "available";
  found.database->type = "db.m6g.large";
  found.database->host = "db.example";
  found.database->size_gib = 100;
  found.database->is_in_two_zones = true;
  return found;
}

TEST(Status, WhatIsWrongWithADatabaseIsTold) {
  EXPECT_EQ(told(on_a_database()), "");
  const auto tells = [](const std::function<void(Found&)>& change, const std::string& part) {
    Found found = on_a_database();
    change(found);
    return told(found).find(part) != std::string::npos;
  };
  EXPECT_TRUE(tells([](Found& found) { found.database.reset(); }, "the database skep-prod is missing"));
  EXPECT_TRUE(tells([](Found& found) { found.database->status = "stopped"; }, "start-db-instance"));
  EXPECT_TRUE(tells([](Found& found) { found.database->status = "rebooting"; }, "skep-prod is rebooting"));
  EXPECT_TRUE(tells([](Found& found) { found.database->is_in_two_zones = false; }, "in one zone alone"));
  EXPECT_TRUE(tells([](Found& found) { std::erase(found.parameters, kNames.password_parameter()); },
                    "database-password"));
  EXPECT_TRUE(tells([](Found& found) { std::erase(found.parameters, kNames.store_parameter()); },
                    "/skep/prod/manager/store is missing"));
}

TEST(Status, DatabaseCostsByItsTypeAndSize) {
  const Costs costs =
      costs_of(on_a_database(), [](const std::string& type) { return type == "db.m6g.large" ? 0.3 : 0.0; });
  double hour = 0;
  for (const Cost& part : costs.parts) {
    if (part.what.find("database") != std::string::npos) hour += part.hour;
  }
  EXPECT_NEAR(hour, 0.3 + 100 * kDatabaseGibMonth / 730, 1e-9);
}

TEST(Status, CostsAreThoseOfWhatRuns) {
  Found found = sound();
  found.instances.push_back(instance_of("i-4", "worker", 0));
  found.instances.back().is_spot = true;
  found.instances.push_back(instance_of("i-5", "worker", 0));
  found.instances.back().type = "z9.large";
  found.instances.push_back(instance_of("i-6", "worker", 0));
  found.instances.back().state = "shutting-down";
  const Costs costs =
      costs_of(found, [](const std::string& type) { return type == "c6i.large" ? 0.1 : 0.0; });
  ASSERT_EQ(costs.parts.size(), 5u);
  EXPECT_EQ(costs.parts[0].what, "2 x c6i.large, managers");
  EXPECT_DOUBLE_EQ(costs.parts[0].hour, 0.2);
  EXPECT_EQ(costs.parts[1].what, "1 x c6i.large, spot workers, at most");
  EXPECT_EQ(costs.parts[3].what, "72 GiB of volumes");
  EXPECT_EQ(costs.unpriced, aws::Names{"z9.large"});
  EXPECT_NEAR(costs.hour(), 0.2 + 0.1 + 72 * kVolumeGibMonth / 730 + 4 * kAddressHour, 1e-9);
}

TEST(Status, SlotsAreThoseOfManagersVolumesAndAddresses) {
  Found found;
  EXPECT_TRUE(slots_of(found).empty());
  found.managers = "http://10.0.0.1:8080,http://10.0.0.2:8080";
  found.volumes = {{"vol-3", "a", "available", "", tags_for("store", 3), 20}};
  EXPECT_EQ(slots_of(found), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace skep::deploy
