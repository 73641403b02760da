// SPDX-License-Identifier: Apache-2.0
// Goal: what an instance runs at its first boot is small, has no secret in it, and is a script that bash
// reads; what roles may do is bound to their cluster. Method: texts for wishes of all kinds; test/aws runs
// them.
#include "deploy/user_data.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "deploy/policy.h"

namespace skep::deploy {
namespace {

const Names kNames{"a23456789012345678901234", "ap-southeast-1", "123456789012"};

ClusterWish wish_of(StoreKind store) {
  ClusterWish wish;
  wish.name = kNames.cluster();
  wish.store = store;
  wish.store_url = "postgres://skep:hunter2@db/skep";
  wish.fleet.worker_types = {"c7i.large", "c7g.large", "c6i.large", "c6g.large", "m7i.large", "m7g.large"};
  wish.packages = {{"", "amd64", std::string(64, 'a')}, {"", "arm64", std::string(64, 'b')}};
  return wish;
}

const aws::Names kSubnets{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"};

TEST(UserData, IsSmallAndHasNoSecret) {
  for (const StoreKind store : {StoreKind::kVolumes, StoreKind::kPostgres, StoreKind::kRds}) {
    const ClusterWish wish = wish_of(store);
    for (const std::string& text :
         {manager_user_data(wish, kNames, kSubnets, 1), worker_user_data(wish, kNames, "arm64")}) {
      EXPECT_LT(text.size(), kUserDataMax);
      EXPECT_TRUE(text.starts_with("#!/bin/bash\n"));
      EXPECT_EQ(text.find("hunter2"), std::string::npos);
      EXPECT_EQ(text.find("skep_"), std::string::npos);
    }
  }
}

TEST(UserData, ManagersOfADatabaseThatIsMadeFetchTheAuthoritiesOfItsCertificate) {
  const std::string bundle =
      "https://truststore.pki.rds.amazonaws.com/ap-southeast-1/ap-southeast-1-bundle.pem";
  EXPECT_NE(manager_user_data(wish_of(StoreKind::kRds), kNames, kSubnets, 1).find(bundle), std::string::npos);
  EXPECT_EQ(manager_user_data(wish_of(StoreKind::kPostgres), kNames, kSubnets, 1).find(bundle),
            std::string::npos);
}

TEST(UserData, PackageIsTheOneOfTheArchitecture) {
  const ClusterWish wish = wish_of(StoreKind::kVolumes);
  EXPECT_NE(worker_user_data(wish, kNames, "arm64").find("/arm64/" + std::string(64, 'b') + ".deb"),
            std::string::npos);
  EXPECT_NE(manager_user_data(wish, kNames, kSubnets, 1).find(std::string(64, 'a') + "  /tmp/skep.deb"),
            std::string::npos);
}

TEST(UserData, ManagersShareTheWorkers) {
  ClusterWish wish = wish_of(StoreKind::kVolumes);
  wish.fleet.workers_max = 5;
  EXPECT_NE(manager_user_data(wish, kNames, kSubnets, 1).find("max-workers = 3\n"), std::string::npos);
  EXPECT_NE(manager_user_data(wish, kNames, kSubnets, 2).find("max-workers = 2\n"), std::string::npos);
}

TEST(Policy, IsBoundToTheCluster) {
  for (const Part part : kParts) {
    const std::string text = role_policy(part, kNames);
    EXPECT_LT(text.size(), 10'240u);  // what IAM takes inline
    const auto policy = boost::json::parse(text);
    for (const auto& statement : policy.at("Statement").as_array()) {
      const bool only_looks = statement.at("Sid") == "Look";
      for (const auto& action : statement.at("Action").as_array()) {
        EXPECT_EQ(action.as_string().find('*'), std::string::npos);
        EXPECT_TRUE(!only_looks || action.as_string().starts_with("ec2:Describe"));
      }
      for (const auto& resource : statement.at("Resource").as_array())
        EXPECT_TRUE(only_looks || resource.as_string() != "*");
    }
  }
}

TEST(Policy, WorkersReadTheirOwnParametersAlone) {
  const std::string text = role_policy(Part::kWorker, kNames);
  EXPECT_NE(text.find("parameter/skep/" + kNames.cluster() + "/worker/*"), std::string::npos);
  EXPECT_EQ(text.find("ec2:"), std::string::npos);
  EXPECT_EQ(text.find("/manager"), std::string::npos);
}

TEST(Policy, OneForDeployersIsJson) {
  for (const Names& names : {kNames, Names("*", "*", "*")}) {
    const auto policy = boost::json::parse(deployer_policy(names));
    EXPECT_GT(policy.at("Statement").as_array().size(), 5u);
  }
}

}  // namespace
}  // namespace skep::deploy
