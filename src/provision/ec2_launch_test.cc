// SPDX-License-Identifier: Apache-2.0
// Goal: which calls a launch makes, with which tokens, and what it says of every answer; how many instances
// may exist. Method: answers by hand, no EC2.
#include "provision/ec2_launch.h"

#include <gtest/gtest.h>

#include <set>

#include "provision/ec2_census.h"

namespace skep::provision {
namespace {

using aws::Fleet;

class Launch : public testing::Test {
 protected:
  Ec2Launch launch(std::uint32_t on_demand, std::uint32_t spot = 0, const std::string& token = "e1-1") {
    return Ec2Launch({"hive", token, on_demand, spot}, choices);
  }
  static Fleet fleet(aws::Names ids, std::vector<aws::FleetError> errors = {}, aws::Names spot = {}) {
    return {std::move(ids), std::move(errors), std::move(spot)};
  }
  static aws::FleetError refusal(const std::string& code, const std::string& type, const std::string& subnet,
                                 bool is_spot = false) {
    return {code, "as it says", type, subnet, is_spot};
  }
  static Error error(Code code) { return fail(code, "by the test"); }

  Instant now = Instant{} + hours(1);
  Ec2Choices choices{{"c7g.large", "c6i.large"}, {"subnet-a", "subnet-b"}};
};

TEST_F(Launch, IsOneFleetOverAllThatIsOpen) {
  auto one = launch(2, 3);
  const auto step = one.next(now);
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->is_fleet);
  EXPECT_EQ(step->choices.size(), 4u);
  EXPECT_EQ(step->on_demand, 2u);
  EXPECT_EQ(step->spot, 3u);
  EXPECT_LE(step->client_token.size(), 64u);
  one.answered(now, fleet({"i-1", "i-2", "i-3", "i-4", "i-5"}, {}, {"i-3", "i-4", "i-5"}));
  EXPECT_FALSE(one.next(now));
  EXPECT_EQ(one.started().size(), 5u);
  EXPECT_TRUE(one.errors().empty());
  EXPECT_FALSE(one.is_unknown());
}

TEST_F(Launch, HasTheSameClientTokenWhenRepeatedAndAnotherOneElse) {
  const std::string token = launch(1).next(now)->client_token;
  EXPECT_EQ(launch(1).next(now)->client_token, token);
  EXPECT_NE(launch(1, 0, "e1-2").next(now)->client_token, token);
  EXPECT_NE(Ec2Launch({"other", "e1-1", 1, 0}, choices).next(now)->client_token, token);
}

TEST_F(Launch, LearnsWhatAFleetDidNotGetAndSaysIt) {
  choices = Ec2Choices({"c7g.large", "c6i.xlarge"}, {"subnet-a", "subnet-b"});
  auto one = launch(3);
  one.next(now);
  one.answered(now, fleet({"i-1"}, {refusal("InsufficientInstanceCapacity", "c7g.large", "subnet-a"),
                                    refusal("VcpuLimitExceeded", "c6i.xlarge", "subnet-b")}));
  EXPECT_FALSE(one.next(now));
  ASSERT_EQ(one.errors().size(), 2u);
  EXPECT_EQ(one.errors().front().code, Code::kExhausted);
  EXPECT_NE(one.errors().front().message.find("quota is reached for c6i.xlarge"), std::string::npos);
  EXPECT_EQ(choices.open(now, Market::kOnDemand, 0),
            (std::vector<Ec2Choice>{
                {"c7g.large", "subnet-b"}}));  // the quota is of both zones, and has room for less
  EXPECT_EQ(choices.open(now, Market::kSpot, 0).size(), 4u);
  EXPECT_EQ(launch(1).next(now)->choices.size(), 1u);
}

TEST_F(Launch, WithNothingOpenAsksForNothing) {
  for (const char* type : {"c7g.large", "c6i.large"})
    choices.refused(now, Market::kOnDemand, {type, "subnet-a"}, "VcpuLimitExceeded");
  auto one = launch(2);
  EXPECT_FALSE(one.next(now));
  ASSERT_EQ(one.errors().size(), 2u);
  EXPECT_NE(one.errors().front().message.find("EC2 is asked again from"), std::string::npos);
  // The other market is open.
  auto both = launch(1, 1);
  const auto step = both.next(now);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->on_demand, 0u);
  EXPECT_EQ(step->spot, 1u);
}

TEST_F(Launch, WhereTheFleetCallCanNotBeUsedTriesOneChoiceAfterTheOther) {
  auto one = launch(3);
  one.next(now);
  one.answered(now, error(Code::kForbidden));
  EXPECT_FALSE(choices.may_use_fleet(now));
  std::vector<std::string> tokens;
  const auto step = [&] {
    const auto next = one.next(now);
    EXPECT_TRUE(next && !next->is_fleet && next->choices.size() == 1);
    tokens.push_back(next->client_token);
    return *next;
  };
  EXPECT_EQ(step().on_demand, 3u);
  one.answered(now, fleet({}, {refusal("InsufficientInstanceCapacity", "c7g.large", "subnet-a")}));
  EXPECT_EQ(step().on_demand, 3u);
  one.answered(now, fleet({"i-1"}));  // fewer than asked for
  EXPECT_EQ(step().choices.front().type, "c6i.large");
  one.answered(now, fleet({"i-2", "i-3"}));
  EXPECT_FALSE(one.next(now));
  EXPECT_TRUE(one.errors().empty());
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), 3u);
  // The next launch does not try the fleet again.
  EXPECT_FALSE(launch(1, 0, "e1-2").next(now)->is_fleet);
}

TEST_F(Launch, OneByOneEachMarketGetsItsOwn) {
  choices.avoid_fleet(kNever);
  auto one = launch(1, 1);
  EXPECT_EQ(one.next(now)->on_demand, 1u);
  one.answered(now, fleet({"i-1"}));
  const auto step = one.next(now);
  EXPECT_EQ(step->on_demand, 0u);
  EXPECT_EQ(step->spot, 1u);
  one.answered(now, fleet({"i-2"}, {}, {"i-2"}));
  EXPECT_FALSE(one.next(now));
}

TEST_F(Launch, AfterALostAnswerNothingMoreIsAskedForAndTheRestMayExist) {
  for (const Code code : {Code::kUnknownOutcome, Code::kConflict}) {
    auto one = launch(2);
    one.next(now);
    one.answered(now, error(code));
    EXPECT_FALSE(one.next(now));
    EXPECT_TRUE(one.is_unknown());
    ASSERT_EQ(one.errors().size(), 2u);
    EXPECT_EQ(one.errors().front().code, Code::kUnknownOutcome);
  }
}

TEST_F(Launch, EndsWhenEc2IsIllOrRefusesAgainAndAgain) {
  auto ill = launch(1);
  ill.next(now);
  ill.answered(now, error(Code::kUnavailable));
  EXPECT_FALSE(ill.next(now));
  EXPECT_EQ(ill.errors().front().code, Code::kUnavailable);
  EXPECT_TRUE(choices.may_use_fleet(now));
  auto wrong = launch(1);
  int steps = 0;
  while (wrong.next(now)) {
    ++steps;
    wrong.answered(now, error(Code::kInvalid));
  }
  EXPECT_EQ(steps, 4);  // the fleet, and three choices
  EXPECT_EQ(wrong.errors().front().message, "by the test");
  auto slow = launch(1);
  slow.give_up(error(Code::kTimeout));
  EXPECT_FALSE(slow.next(now));
  EXPECT_EQ(slow.errors().size(), 1u);
}

// ---- the census ----

class Census : public testing::Test {
 protected:
  static aws::Instance instance(const std::string& id, const std::string& token, const std::string& state,
                                bool is_spot = false) {
    aws::Instance one;
    one.id = id;
    one.state = state;
    one.is_spot = is_spot;
    one.tags[std::string(kTokenTag)] = token;
    return one;
  }
  Instant now = Instant{} + hours(1);
  Ec2Census census;
};

TEST_F(Census, CountsWhatIsAliveAndWhatIsNotShownYet) {
  census.listed(now, {instance("i-1", "a", "running"), instance("i-2", "a", "shutting-down", true),
                      instance("i-3", "a", "terminated")});
  EXPECT_EQ(census.existing(now), 2u);
  EXPECT_EQ(census.on_demand(now), 1u);
  census.launched(now, {"i-4", "i-5"}, {"i-5"});
  EXPECT_EQ(census.existing(now), 4u);
  EXPECT_EQ(census.on_demand(now), 2u);
  census.listed(now, {instance("i-1", "a", "running"), instance("i-4", "b", "pending")});
  EXPECT_EQ(census.existing(now), 3u);  // i-5 is not shown yet
  now += Ec2Census::kShownBy + seconds(1);
  EXPECT_EQ(census.existing(now), 2u);
}

TEST_F(Census, CountsWhatMayExistUntilItIsShownOrCanNotBeThere) {
  census.launched(now, {"i-1"}, {});
  census.may_exist(now, "a", 1, 2);
  EXPECT_EQ(census.existing(now), 3u);
  for (int i = 0; i < 2; ++i) {
    census.listed(now, {instance("i-1", "a", "running")});
    EXPECT_EQ(census.existing(now), 3u);
  }
  census.listed(now, {instance("i-1", "a", "running"), instance("i-2", "a", "pending")});
  EXPECT_EQ(census.existing(now), 3u);
  census.listed(now, {instance("i-1", "a", "running"), instance("i-2", "a", "pending"),
                      instance("i-3", "a", "terminated")});
  EXPECT_EQ(census.existing(now), 2u);
  census.may_exist(now, "b", 0, 4);
  EXPECT_EQ(census.existing(now), 6u);
  now += Ec2Census::kShownBy + seconds(1);
  EXPECT_EQ(census.existing(now), 2u);
}

}  // namespace
}  // namespace skep::provision
