// SPDX-License-Identifier: Apache-2.0
// Goal: facts about an account are judged as a fleet needs them. Method: each fact on both sides of its
// limit.
#include "deploy/readiness.h"

#include <gtest/gtest.h>

namespace skep::deploy {
namespace {

const std::vector<aws::Subnet> kTwoZones{{"s-1", "vpc-1", "a", 10, true}, {"s-2", "vpc-1", "b", 2, true}};

TEST(Readiness, NetworkNeedsAddressesAndTwoZones) {
  FleetWish wish;
  EXPECT_EQ(judge_network(wish, kTwoZones).judgement, Judgement::kGood);  // 12 of 12
  EXPECT_EQ(judge_network(wish, kTwoZones).text, "the default VPC has subnets in a, b");
  EXPECT_EQ(judge_network(wish, {}).judgement, Judgement::kProblem);
  wish.workers_max = 11;
  EXPECT_NE(judge_network(wish, kTwoZones).text.find("12 free addresses, the fleet needs 13"),
            std::string::npos);
  wish.workers_max = 1;
  const std::vector<aws::Subnet> one_zone{kTwoZones[0]};
  EXPECT_EQ(judge_network(wish, one_zone).judgement, Judgement::kProblem);
  wish.managers = 1;
  EXPECT_EQ(judge_network(wish, one_zone).judgement, Judgement::kGood);
}

TEST(Readiness, TypeIsToBeOfferedWhereSubnetsAre) {
  EXPECT_EQ(judge_offer("t", {"a", "c"}, kTwoZones).text, "offered in a");
  EXPECT_EQ(judge_offer("t", {"c"}, kTwoZones).judgement, Judgement::kProblem);
  EXPECT_EQ(judge_offer("t", {}, kTwoZones).judgement, Judgement::kProblem);
}

TEST(Readiness, QuotaIsToHoldTheLargestFleet) {
  EXPECT_EQ(judge_quota("q", 24, 24.0).judgement, Judgement::kGood);
  EXPECT_EQ(judge_quota("q", 25, 24.0).judgement, Judgement::kProblem);
  EXPECT_NE(judge_quota("q", 25, 24.0).text.find("24 vCPUs"), std::string::npos);
}

TEST(Readiness, ClockThatHadToBeCorrectedIsToldBothWays) {
  EXPECT_EQ(judge_clock({}).judgement, Judgement::kGood);
  EXPECT_NE(judge_clock(hours(1)).text.find("1h behind"), std::string::npos);
  EXPECT_NE(judge_clock(-hours(1)).text.find("1h ahead"), std::string::npos);
}

TEST(Readiness, OnlyWhatIsRefusedIsAProblem) {
  for (const Code code : {Code::kForbidden, Code::kUnauthenticated, Code::kInvalid, Code::kNotFound})
    EXPECT_EQ(judge_error("x", fail(code, "m")).judgement, Judgement::kProblem);
  for (const Code code : {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome, Code::kCorrupt})
    EXPECT_EQ(judge_error("x", fail(code, "m")).judgement, Judgement::kUnknown);
}

TEST(Readiness, GravitonIsToldByTheTypesName) {
  for (const char* type : {"c7g.large", "c6gn.medium", "t4g.small", "x2gd.large", "r8gd.2xlarge"})
    EXPECT_EQ(architecture_of(type), "arm64") << type;
  for (const char* type : {"c7i.large", "g5.xlarge", "c6a.large", "m5.large", "g4dn.xlarge"})
    EXPECT_EQ(architecture_of(type), "amd64") << type;
}

}  // namespace
}  // namespace skep::deploy
