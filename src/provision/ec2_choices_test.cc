// SPDX-License-Identifier: Apache-2.0
// Goal: what EC2 refuses is left out for as long as it is likely to hold, and nothing else. Method: each code
// once, on two types in two subnets; and the prices that budgets rest on.
#include "provision/ec2_choices.h"

#include <gtest/gtest.h>

#include "provision/prices.h"

namespace skep::provision {
namespace {

class Choices : public testing::Test {
 protected:
  std::size_t open(Market market = Market::kOnDemand) const { return choices.open(now, market, 0).size(); }
  void refused(const std::string& code, Market market = Market::kOnDemand) {
    choices.refused(now, market, {"c7g.large", "subnet-a"}, code);
  }

  Instant now = Instant{} + hours(1);
  Ec2Choices choices{{"c7g.large", "c6i.large", "c7g.large"}, {"subnet-a", "subnet-b"}};
};

TEST_F(Choices, AreTypesInTheirOrderEachInAllSubnetsAndTurned) {
  const std::vector<Ec2Choice> expected{{"c7g.large", "subnet-a"},
                                        {"c7g.large", "subnet-b"},
                                        {"c6i.large", "subnet-a"},
                                        {"c6i.large", "subnet-b"}};
  EXPECT_EQ(choices.open(now, Market::kSpot, 0), expected);
  EXPECT_EQ(choices.open(now, Market::kSpot, 3).front().subnet, "subnet-b");
  EXPECT_EQ(choices.rank("c6i.large"), 1);
  EXPECT_EQ(choices.why_none(now, Market::kSpot), "");
}

TEST_F(Choices, WithoutCapacityOneTypeInOneZoneAndMarketIsLeftOutForTwoMinutes) {
  refused("InsufficientInstanceCapacity");
  const auto left = choices.open(now, Market::kOnDemand, 0);
  ASSERT_EQ(left.size(), 3u);
  EXPECT_EQ(left.front(), (Ec2Choice{"c7g.large", "subnet-b"}));
  EXPECT_EQ(open(Market::kSpot), 4u);
  now += minutes(2) - seconds(1);
  EXPECT_EQ(open(), 3u);
  now += seconds(1);
  EXPECT_EQ(open(), 4u);
}

TEST_F(Choices, AQuotaLeavesOutTheTypeInAllZonesForAMinute) {
  refused("InstanceLimitExceeded");
  EXPECT_TRUE(is_quota("InstanceLimitExceeded"));
  EXPECT_EQ(open(), 2u);
  EXPECT_EQ(open(Market::kSpot), 4u);
  now += minutes(1);
  EXPECT_EQ(open(), 4u);
}

TEST_F(Choices, AQuotaOfVcpusLeavesOutAllTypesThatCountForItAndAreAsLarge) {
  choices = Ec2Choices({"c5.xlarge", "m5.2xlarge", "c5.large", "g5.xlarge"}, {"subnet-a"});
  for (const char* code : {"VcpuLimitExceeded", "MaxSpotInstanceCountExceeded"}) {
    choices.refused(now, Market::kOnDemand, {"c5.xlarge", "subnet-a"}, code);
    EXPECT_TRUE(is_quota(code));
    EXPECT_EQ(choices.open(now, Market::kOnDemand, 0),
              (std::vector<Ec2Choice>{{"c5.large", "subnet-a"}, {"g5.xlarge", "subnet-a"}}));
    EXPECT_EQ(open(Market::kSpot), 4u);
    now += minutes(1);
    EXPECT_EQ(open(), 4u);
  }
  EXPECT_NE(describe_refusal("VcpuLimitExceeded", "g5.xlarge").find("of G and VT instances"),
            std::string::npos);
}

TEST_F(Choices, ATypeThatTheZoneDoesNotHaveAndAFullSubnetCountInBothMarkets) {
  refused("Unsupported");
  EXPECT_EQ(open(Market::kSpot), 3u);
  now += hours(5);
  EXPECT_EQ(open(), 3u);
  now += hours(1);
  refused("InsufficientFreeAddressesInSubnet");
  EXPECT_EQ(open(Market::kSpot), 2u);
  EXPECT_EQ(choices.open(now, Market::kOnDemand, 0).front().subnet, "subnet-b");
}

TEST_F(Choices, OtherErrorsSayNothingAgainstAChoice) {
  for (const char* code : {"RequestLimitExceeded", "UnsupportedOperation", "InvalidParameterValue",
                           "Throttling", "InternalError", ""}) {
    refused(code);
    EXPECT_EQ(open(), 4u) << code;
  }
  choices.refused(now, Market::kOnDemand, {"", ""}, "VcpuLimitExceeded");  // nobody says of what
  EXPECT_EQ(open(), 4u);
}

TEST_F(Choices, ThatAllAreLeftOutIsSaidWithTheTimeOfTheNextTry) {
  for (const char* type : {"c7g.large", "c6i.large"}) {
    now += seconds(10);
    choices.refused(now, Market::kSpot, {type, "subnet-a"}, "MaxSpotInstanceCountExceeded");
  }
  EXPECT_EQ(open(Market::kSpot), 0u);
  const std::string why = choices.why_none(now, Market::kSpot);
  EXPECT_NE(why.find("the account's quota is reached for c7g.large"), std::string::npos) << why;
  EXPECT_NE(why.find(format_instant(now + seconds(50))), std::string::npos) << why;
  EXPECT_EQ(choices.why_none(now, Market::kOnDemand), "");
}

TEST_F(Choices, TheFleetCallIsAvoidedForAWhile) {
  EXPECT_TRUE(choices.may_use_fleet(now));
  choices.avoid_fleet(now + minutes(10));
  EXPECT_FALSE(choices.may_use_fleet(now + minutes(10) - seconds(1)));
  EXPECT_TRUE(choices.may_use_fleet(now + minutes(10)));
}

TEST(Types, TellTheirArchitectureByTheirName) {
  for (const char* type : {"c7g.large", "c6gn.xlarge", "t4g.small", "im4gn.large", "a1.medium", "x2gd.large"})
    EXPECT_EQ(architecture_of(type), "arm64") << type;
  for (const char* type : {"c6i.large", "m5.large", "g4dn.xlarge", "t3.micro", "g6.xlarge", "c7a.large"})
    EXPECT_EQ(architecture_of(type), "x86_64") << type;
}

TEST(Types, HavePricesThatGrowWithTheirSizeAndNoneWhereItIsNotKnown) {
  EXPECT_DOUBLE_EQ(ec2_price_hour("c7g.large"), 0.0824);
  EXPECT_DOUBLE_EQ(ec2_price_hour("c7g.4xlarge"), 8 * 0.0824);
  EXPECT_DOUBLE_EQ(ec2_price_hour("t3.micro"), 0.012);
  EXPECT_DOUBLE_EQ(ec2_price_hour("db.m6g.xlarge"), 2 * 0.318);
  for (const char* type : {"q1.large", "c7g.huge", "c7g", ""}) EXPECT_EQ(ec2_price_hour(type), 0) << type;
}

}  // namespace
}  // namespace skep::provision
