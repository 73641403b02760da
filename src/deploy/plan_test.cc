// SPDX-License-Identifier: Apache-2.0
// Goal: a plan has exactly the steps that are missing, in an order that works, and touches nothing of others.
// Method: steps are carried out on facts, as AWS would show them; all of them, all but one, or the first few.
#include "deploy/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "deploy/policy.h"

namespace skep::deploy {
namespace {

struct World {
  ClusterWish wish;
  Names names{"prod", "eu-central-1", "123456789012"};
  Found found;
  Ground ground;
  int next = 0;

  World() {
    wish.name = "prod";
    wish.allow_cidrs = {"198.51.100.7/32"};
    wish.packages = {{"skep_amd64.deb", "amd64", "abc"}};
    ground.vpc = "vpc-1";
    ground.subnets = {{"subnet-a", "vpc-1", "a", 9, true, "10.0.0.0/24"},
                      {"subnet-b", "vpc-1", "b", 9, true, "10.0.1.0/24"},
                      {"subnet-c", "vpc-1", "c", 9, true, "10.0.2.0/24"}};
    ground.manager_subnets = ground.subnets;
    ground.images = {{"amd64", "ami-1"}, {"arm64", "ami-2"}};
  }

  std::vector<Step> plan() { return plan_up(wish, names, found, ground).value().steps; }

  aws::Names whats() {
    aws::Names made;
    for (const Step& step : plan()) made.push_back(step.what);
    return made;
  }

  aws::Tags tags_for(const char* role, int slot) const {
    aws::Tags tags = names.tags();
    tags[kRoleTag] = role;
    tags[kSlotTag] = std::to_string(slot);
    return tags;
  }

  void launch(int slot) {
    aws::Instance one;
    one.id = "i-" + std::to_string(++next);
    one.zone = "a";
    one.state = "running";
    one.private_address = "10.0.0." + std::to_string(next);
    one.tags = tags_for("manager", slot);
    one.tags[kConfigTag] = manager_config(wish, names, ground, slot);
    found.instances.push_back(one);
  }

  void tell() {
    aws::Names hosts;
    for (int slot = 1; slot <= wish.fleet.managers; ++slot)
      hosts.push_back(manager_of(found, slot)->private_address);
    found.managers = managers_text(hosts);
  }

  void put_template(const Step& step) {
    std::erase_if(found.templates, [&](const aws::Template& one) { return one.name == step.name; });
    aws::Tags tags = names.tags();
    tags[kConfigTag] = template_config(wish, names, found, ground, step.architecture);
    found.templates.push_back({"lt-1", step.name, tags});
  }

  std::optional<aws::SecurityGroup>& group_of(const Step& step) {
    return step.name == names.database_group() ? found.database_group : found.group;
  }

  void put(const Step& step) {
    if (!found.has_parameter(step.name)) found.parameters.push_back(step.name);
  }

  void carry_out(const Step& step);
  void carry_out_on_database(const Step& step);
  void carry_out_all() {
    for (const Step& step : plan()) carry_out(step);
  }
};

void World::carry_out_on_database(const Step& step) {
  switch (step.kind) {
    case StepKind::kCreateSubnetGroup:
      found.has_subnet_group = true;
      return;
    case StepKind::kCreateDatabase:
      found.database = aws::Database();
      found.database->id = names.database();
      found.database->resource = "db-ABC";
      found.database->status = "creating";
      return;
    case StepKind::kAwaitDatabase:
      found.database->status = "available";
      found.database->host = "db.example";
      found.database->port = kDatabasePort;
      return;
    case StepKind::kMakePassword:
      found.password = "secret";
      return put(step);
    case StepKind::kPutStore:
      found.store = store_url(wish, found);
      return put(step);
    default:  // parameters
      put(step);
  }
}

void World::carry_out(const Step& step) {
  switch (step.kind) {
    case StepKind::kCreateGroup:
      group_of(step) = aws::SecurityGroup{"sg-" + step.name, step.name, "vpc-1", {}, names.tags()};
      return;
    case StepKind::kAllow:
      group_of(step)->ingress.push_back(step.rule);
      if (!step.rule.group.empty()) group_of(step)->ingress.back().group = group_of(step)->id;
      return;
    case StepKind::kRevoke:
      std::erase(found.group->ingress, step.rule);
      return;
    case StepKind::kCreateRole:
      found.roles[step.part] = {step.name, "arn", names.tags()};
      return;
    case StepKind::kPutPolicy:
      found.policies[step.part] = role_policy(step.part, names);
      return;
    case StepKind::kCreateProfile:
      found.profiles[step.part] = {step.name, "arn", {}, names.tags()};
      return;
    case StepKind::kAddRole:
      found.profiles[step.part].roles = {names.role(step.part)};
      return;
    case StepKind::kCreateBucket:
      found.has_bucket = true;
      return;
    case StepKind::kTagBucket:
      found.bucket_tags = names.tags();
      return;
    case StepKind::kUpload:
      found.keys.push_back(step.name);
      return;
    case StepKind::kCreateTemplate:
    case StepKind::kRenewTemplate:
      return put_template(step);
    case StepKind::kLaunchManager:
      return launch(step.slot);
    case StepKind::kCreateVolume:
      found.volumes.push_back(
          {"vol-" + std::to_string(step.slot), "a", "available", "", tags_for("store", step.slot), 20});
      return;
    case StepKind::kAttachVolume:
      for (aws::Volume& one : found.volumes) {
        if (slot_of(one.tags) == step.slot) one.instance = manager_of(found, step.slot)->id;
      }
      return;
    case StepKind::kEndInstance:
      std::erase_if(found.instances, [&](const aws::Instance& one) { return one.id == step.name; });
      return;
    case StepKind::kTellManagers:
      tell();
      return put(step);
    default:
      carry_out_on_database(step);
  }
}

TEST(Plan, WhatIsCarriedOutIsNotPlannedAgain) {
  World world;
  EXPECT_EQ(world.plan().size(), 27u);
  world.carry_out_all();
  EXPECT_EQ(world.whats(), aws::Names{});
}

void cut_off_anywhere(StoreKind store) {
  World whole;
  whole.wish.store = store;
  const std::vector<Step> all = whole.plan();
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    World world;
    world.wish.store = store;
    for (std::size_t i = 0; i < cut; ++i) world.carry_out(all[i]);
    std::vector<Step> rest = world.plan();
    ASSERT_EQ(rest.size(), all.size() - cut) << "cut at " << cut;
    for (std::size_t i = 0; i < rest.size(); ++i) EXPECT_EQ(rest[i].what, all[cut + i].what);
    for (const Step& step : rest) world.carry_out(step);
    EXPECT_EQ(world.whats(), aws::Names{}) << "cut at " << cut;
  }
}

TEST(Plan, CutOffAnywhereTheRestIsWhatIsPlannedThen) {
  cut_off_anywhere(StoreKind::kVolumes);
  cut_off_anywhere(StoreKind::kRds);
}

TEST(Plan, OneThingThatIsMissingIsTheOneStep) {
  World done;
  done.carry_out_all();
  const auto without = [&](const std::function<void(Found&)>& take) {
    World world = done;
    take(world.found);
    return world.whats();
  };
  EXPECT_EQ(without([](Found& found) { found.policies.erase(Part::kWorker); }),
            aws::Names{"put the policy of role skep-prod-eu-central-1-worker"});
  EXPECT_EQ(without([](Found& found) { found.policies[Part::kManager] += " "; }),
            aws::Names{"put the policy of role skep-prod-eu-central-1-manager"});
  EXPECT_EQ(without([](Found& found) { found.profiles[Part::kManager].roles.clear(); }),
            aws::Names{"add the role to instance profile skep-prod-eu-central-1-manager"});
  EXPECT_EQ(without([](Found& found) { found.bucket_tags.clear(); }),
            aws::Names{"tag bucket skep-prod-123456789012-eu-central-1"});
  EXPECT_EQ(without([](Found& found) { found.keys.clear(); }), aws::Names{"upload the package for amd64"});
  EXPECT_EQ(without([](Found& found) { std::erase(found.parameters, "/skep/prod/manager/client-token"); }),
            aws::Names{"make the token of role client"});
  EXPECT_EQ(without([](Found& found) { found.templates.clear(); }),
            aws::Names{"create launch template skep-prod-worker-x86_64"});
  EXPECT_EQ(without([](Found& found) { found.volumes[1].instance.clear(); }),
            aws::Names{"attach volume of skep-prod-manager-2"});
  EXPECT_EQ(without([](Found& found) { found.managers = "http://10.9.9.9:8080"; }),
            aws::Names{"put the managers' addresses into parameter /skep/prod/worker/managers"});
  EXPECT_EQ(without([](Found& found) {
              std::erase_if(found.group->ingress, [](const auto& rule) { return rule.cidr.empty(); });
            }),
            aws::Names{"allow port 8080 from its own instances in security group skep-prod"});
}

TEST(Plan, ManagerThatIsGoneIsReplacedWithItsVolumeAndAddress) {
  World world;
  world.carry_out_all();
  const std::string address = world.found.instances[1].private_address;
  world.found.instances.erase(world.found.instances.begin() + 1);
  world.found.volumes[1].instance.clear();
  const auto steps = world.plan();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].what, "launch manager skep-prod-manager-2");
  EXPECT_EQ(steps[0].address, address);
  EXPECT_EQ(steps[1].what, "attach volume of skep-prod-manager-2");
  EXPECT_EQ(steps[2].kind, StepKind::kTellManagers);
}

TEST(Plan, InstanceThatEndsIsNoManager) {
  World world;
  world.carry_out_all();
  world.found.instances[0].state = "shutting-down";
  EXPECT_EQ(world.whats().front(), "launch manager skep-prod-manager-1");
}

TEST(Plan, OfTwoInstancesOfASlotTheOneWithTheVolumeStays) {
  World world;
  world.carry_out_all();
  world.launch(1);
  EXPECT_EQ(world.whats(), aws::Names{"terminate i-3"});
  world.found.volumes[0].instance = "i-3";
  EXPECT_EQ(world.whats().front(), "terminate i-1");
}

TEST(Plan, RulesFollowAllowCidrAndLeaveOtherPorts) {
  World world;
  world.carry_out_all();
  world.found.group->ingress.push_back({"tcp", 22, 22, "198.51.100.7/32", ""});
  world.wish.allow_cidrs = {"203.0.113.0/24"};
  EXPECT_EQ(world.whats(), (aws::Names{"allow port 8080 from 203.0.113.0/24 in security group skep-prod",
                                       "revoke port 8080 from 198.51.100.7/32 in security group skep-prod"}));
}

TEST(Plan, NewPackageIsUploadedAndRenewsTheTemplateAndIsToldOfManagers) {
  World world;
  world.carry_out_all();
  world.wish.packages[0].sha256 = "def";
  EXPECT_EQ(world.whats(),
            (aws::Names{"upload the package for amd64", "renew launch template skep-prod-worker-x86_64"}));
  const Plan plan = plan_up(world.wish, world.names, world.found, world.ground).value();
  ASSERT_EQ(plan.notes.size(), 2u);
  EXPECT_NE(plan.notes[0].find("skep-prod-manager-1 (i-1) was launched with other settings"),
            std::string::npos);
}

TEST(Plan, ArmWorkersHaveATemplateOfTheirOwnAndWantAPackage) {
  World world;
  world.wish.fleet.worker_types = {"c6i.large", "c7g.large"};
  EXPECT_EQ(plan_up(world.wish, world.names, world.found, world.ground).error().code, Code::kInvalid);
  world.wish.packages.push_back({"skep_arm64.deb", "arm64", "abc"});
  const auto whats = world.whats();
  EXPECT_EQ(std::count(whats.begin(), whats.end(), "create launch template skep-prod-worker-arm64"), 1);
}

TEST(Plan, PackageThatIsNotNamedIsTheOneInTheBucket) {
  World world;
  world.wish.packages.clear();
  world.found.keys = {"amd64/abc.deb"};
  ASSERT_TRUE(take_known_packages(world.wish, world.found));
  EXPECT_EQ(world.wish.package_for("amd64")->sha256, "abc");
  world.wish.packages.clear();
  world.found.keys.push_back("amd64/def.deb");
  EXPECT_EQ(take_known_packages(world.wish, world.found).error().code, Code::kInvalid);
}

TEST(Plan, DatabaseTakesThePlaceOfVolumes) {
  World world;
  world.wish.store = StoreKind::kPostgres;
  world.wish.store_url = "postgres://db/skep";
  const auto whats = world.whats();
  EXPECT_EQ(std::count(whats.begin(), whats.end(), "put the database's address into a parameter"), 1);
  for (const std::string& what : whats) EXPECT_EQ(what.find("volume"), std::string::npos) << what;
  world.carry_out_all();
  EXPECT_EQ(world.whats(), aws::Names{});
}

TEST(Plan, AddressOfADatabaseThatIsAnotherNowIsPutAnew) {
  World world;
  world.wish.store = StoreKind::kPostgres;
  world.wish.store_url = "postgres://db/skep";
  world.carry_out_all();
  world.wish.store_url = "postgres://other/skep";
  EXPECT_EQ(world.whats(), aws::Names{"put the database's address into a parameter"});
}

TEST(Plan, DatabaseIsBegunFirstAndWaitedForBeforeManagers) {
  World world;
  world.wish.store = StoreKind::kRds;
  const auto whats = world.whats();
  const auto place = [&](const std::string& what) {
    return std::find(whats.begin(), whats.end(), what) - whats.begin();
  };
  EXPECT_LT(place("make the database's password"), place("create database skep-prod"));
  EXPECT_LT(place("create database skep-prod"), place("upload the package for amd64"));
  EXPECT_LT(place("upload the package for amd64"), place("wait for database skep-prod"));
  EXPECT_LT(place("put the database's address into a parameter"),
            place("launch manager skep-prod-manager-1"));
  for (const std::string& what : whats) EXPECT_EQ(what.find("volume"), std::string::npos) << what;
  world.carry_out_all();
  EXPECT_EQ(
      world.found.store,
      "postgres://skep:secret@db.example:5432/skep?sslmode=verify-full&sslrootcert=/etc/skep/rds-ca.pem");
  ASSERT_EQ(world.found.database_group->ingress.size(), 1u);
  EXPECT_EQ(world.found.database_group->ingress[0],
            (aws::IngressRule{"tcp", 5432, 5432, "", "sg-skep-prod-database"}));
}

TEST(Plan, DatabaseThatBacksUpIsThereAndOneThatIsMadeOrEndsIsNot) {
  World world;
  world.wish.store = StoreKind::kRds;
  world.carry_out_all();
  world.found.database->status = "backing-up";
  EXPECT_EQ(world.whats(), aws::Names{});
  world.found.database->status = "rebooting";
  EXPECT_EQ(world.whats().front(), "wait for database skep-prod");
  world.found.database->status = "deleting";
  EXPECT_EQ(plan_up(world.wish, world.names, world.found, world.ground).error().code, Code::kConflict);
}

TEST(Plan, DatabaseWantsTwoZonesAndItsPassword) {
  World world;
  world.wish.store = StoreKind::kRds;
  world.carry_out_all();
  std::erase(world.found.parameters, world.names.password_parameter());
  EXPECT_EQ(plan_up(world.wish, world.names, world.found, world.ground).error().code, Code::kConflict);
  world.found = Found();
  world.ground.subnets.resize(1);
  EXPECT_EQ(plan_up(world.wish, world.names, world.found, world.ground).error().code, Code::kInvalid);
}

TEST(Plan, DownKeepsADatabaseWithAllThatItNeedsUnlessDataGoes) {
  World world;
  world.wish.store = StoreKind::kRds;
  world.carry_out_all();
  const Plan down = plan_down(world.names, world.found, Data::kKept);
  ASSERT_EQ(down.notes.size(), 1u);
  EXPECT_EQ(down.notes[0].find("database skep-prod has data and is kept"), 0u);
  for (const Step& step : down.steps) {
    EXPECT_NE(step.kind, StepKind::kDeleteDatabase);
    EXPECT_NE(step.kind, StepKind::kDeleteSubnetGroup);
    EXPECT_NE(step.name, world.names.password_parameter());
    EXPECT_NE(step.name, world.found.database_group->id);
  }
  const auto all = plan_down(world.names, world.found, Data::kDeleted).steps;
  EXPECT_EQ(all.size(), down.steps.size() + 4);
  EXPECT_EQ(all.back().name, world.found.database_group->id);
  const auto database = std::find_if(all.begin(), all.end(),
                                     [](const Step& one) { return one.kind == StepKind::kDeleteDatabase; });
  ASSERT_NE(database, all.end());
  EXPECT_EQ(database->address, "skep-prod-final-db-abc");
  EXPECT_EQ((database + 1)->kind, StepKind::kDeleteSubnetGroup);
}

TEST(Plan, ThingsOfOthersWithOurNamesAreRefusedAndLeft) {
  World world;
  world.found.strangers = {"role skep-prod-eu-central-1-manager has this cluster's name and not its tag"};
  const auto plan = plan_up(world.wish, world.names, world.found, world.ground);
  EXPECT_EQ(plan.error().code, Code::kConflict);
  const Plan down = plan_down(world.names, world.found, Data::kDeleted);
  EXPECT_TRUE(down.steps.empty());
  EXPECT_EQ(down.notes.size(), 1u);
}

TEST(Plan, ManagersBeyondTheWishAreToldAndLeft) {
  World world;
  world.carry_out_all();
  world.wish.fleet.managers = 1;
  const Plan plan = plan_up(world.wish, world.names, world.found, world.ground).value();
  for (const Step& step : plan.steps) EXPECT_NE(step.kind, StepKind::kEndInstance);
  EXPECT_NE(std::find_if(plan.notes.begin(), plan.notes.end(),
                         [](const std::string& note) {
                           return note.starts_with("skep-prod-manager-2 (i-2) is more");
                         }),
            plan.notes.end());
}

TEST(Plan, DownTakesAwayWhatUpMadeAndKeepsData) {
  World world;
  world.carry_out_all();
  const Plan down = plan_down(world.names, world.found, Data::kKept);
  EXPECT_EQ(down.steps.front().what, "terminate i-1 (worker)");  // the names of tests have no Name
  EXPECT_EQ(down.steps.back().kind, StepKind::kDeleteGroup);
  EXPECT_EQ(down.notes.size(), 2u);
  for (const Step& step : down.steps) EXPECT_NE(step.kind, StepKind::kDeleteVolume);
  const Plan all = plan_down(world.names, world.found, Data::kDeleted);
  EXPECT_EQ(all.steps.size(), down.steps.size() + 2);
  EXPECT_TRUE(all.notes.empty());
  EXPECT_TRUE(plan_down(world.names, Found(), Data::kDeleted).steps.empty());
}

TEST(Plan, ManagersTakeTurnsThroughTheZones) {
  World world;
  const auto first = [&](int slot) { return places_for(world.found, world.ground, slot, "").front().zone; };
  EXPECT_EQ(first(1) + first(2) + first(3) + first(4), "abca");
  EXPECT_EQ(places_for(world.found, world.ground, 2, "").size(), 3u);
}

TEST(Plan, VolumeHoldsItsManagerInItsZone) {
  World world;
  world.found.volumes = {{"vol-1", "c", "available", "", world.tags_for("store", 1), 20}};
  const auto places = places_for(world.found, world.ground, 1, "");
  ASSERT_EQ(places.size(), 1u);
  EXPECT_EQ(places[0].subnet, "subnet-c");
  world.found.volumes[0].zone = "d";
  EXPECT_TRUE(places_for(world.found, world.ground, 1, "").empty());
}

TEST(Plan, AddressIsKeptWhereASubnetHasIt) {
  World world;
  const auto places = places_for(world.found, world.ground, 1, "10.0.1.77");
  EXPECT_EQ(places[0].subnet, "subnet-b");
  EXPECT_EQ(places[0].address, "10.0.1.77");
  EXPECT_EQ(places[1].address, "");
  EXPECT_EQ(places_for(world.found, world.ground, 1, "192.0.2.1")[0].address, "");
}

TEST(Cluster, WishesThatCanNotBeAreRefused) {
  const auto refuses = [](const std::function<void(ClusterWish&)>& change) {
    ClusterWish wish;
    wish.name = "prod";
    change(wish);
    return !check(wish);
  };
  EXPECT_FALSE(refuses([](ClusterWish&) {}));
  for (const char* name : {"", "Prod", "1prod", "prod-", "a_b", "a234567890123456789012345"})
    EXPECT_TRUE(refuses([&](ClusterWish& wish) { wish.name = name; })) << name;
  for (const char* cidr : {"198.51.100.7", "everybody", "10.0.0.0/99"})
    EXPECT_TRUE(refuses([&](ClusterWish& wish) { wish.allow_cidrs = {cidr}; })) << cidr;
  EXPECT_TRUE(refuses([](ClusterWish& wish) { wish.workers_min = 11; }));
  EXPECT_TRUE(refuses([](ClusterWish& wish) {
    wish.store = StoreKind::kPostgres;
    wish.store_url = "postgres://u:$(id)@h/d";
  }));
  const auto refuses_database = [&](const std::function<void(ClusterWish&)>& change) {
    return refuses([&](ClusterWish& wish) {
      wish.store = StoreKind::kRds;
      change(wish);
    });
  };
  EXPECT_FALSE(refuses_database([](ClusterWish&) {}));
  EXPECT_TRUE(refuses_database([](ClusterWish& wish) { wish.name = "a--b"; }));
  EXPECT_TRUE(refuses_database([](ClusterWish& wish) { wish.volume_gib = 19; }));
  EXPECT_TRUE(refuses_database([](ClusterWish& wish) { wish.database_type = "m6g.large"; }));
}

TEST(Cluster, SharesOfManagersMakeTheWhole) {
  for (int total = 0; total < 12; ++total) {
    for (int managers = 1; managers < 5; ++managers) {
      int sum = 0;
      for (int slot = 1; slot <= managers; ++slot) sum += share_of(total, managers, slot);
      EXPECT_EQ(sum, total);
    }
  }
}

TEST(Cluster, AddressesComeBackFromTheirText) {
  const aws::Names hosts{"10.0.0.4", "10.0.1.7"};
  EXPECT_EQ(managers_text(hosts), "http://10.0.0.4:8080,http://10.0.1.7:8080");
  EXPECT_EQ(hosts_of(managers_text(hosts)), hosts);
  EXPECT_EQ(hosts_of(""), aws::Names{});
}

}  // namespace
}  // namespace skep::deploy
