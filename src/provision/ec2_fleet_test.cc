// SPDX-License-Identifier: Apache-2.0
// Goal: the calls that EC2 gets for a list, a launch and an end, and what is made of its answers. Method: EC2
// is a list of answers in XML as the service writes them; the clock moves only in pauses.
#include "provision/ec2_fleet.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::provision {
namespace {

using scaler::InstanceState;
using scaler::LaunchReply;

Ec2Options hive() {
  Ec2Options options;
  options.cluster = "hive";
  options.types = {"c7g.large", "c6i.large"};
  options.subnets = {"subnet-a", "subnet-b"};
  options.instances_max = 4;
  return options;
}

std::string item(const std::string& id, const std::string& token, const std::string& state) {
  return "<item><instancesSet><item><instanceId>" + id +
         "</instanceId><instanceType>c7g.large</instanceType>" +
         "<placement><availabilityZone>eu-central-1a</availabilityZone></placement><instanceState><name>" +
         state +
         "</name></instanceState><stateReason><message>Server.SpotInstanceTermination</message></"
         "stateReason>" +
         "<launchTime>2027-01-15T07:59:00.000Z</launchTime><tagSet><item><key>skep:token</key><value>" +
         token + "</value></item></tagSet></item></instancesSet></item>";
}

std::string described(const std::string& items) {
  return "<DescribeInstancesResponse><reservationSet>" + items +
         "</reservationSet></DescribeInstancesResponse>";
}

std::string fleet_of(const aws::Names& ids) {
  std::string text = "<CreateFleetResponse><fleetInstanceSet>";
  for (const std::string& id : ids)
    text += "<item><lifecycle>on-demand</lifecycle><instanceIds><item>" + id + "</item></instanceIds></item>";
  return text + "</fleetInstanceSet><errorSet/></CreateFleetResponse>";
}

std::string refused(const std::string& code) {
  return "<Response><Errors><Error><Code>" + code +
         "</Code><Message>no</Message></Error></Errors></Response>";
}

class Fleet : public testing::Test {
 protected:
  void answer(const std::string& body, int status = 200) { world.transport.answer(status, body); }
  void lose_answers(int count) {
    for (int i = 0; i < count; ++i)
      world.transport.answers.emplace_back(fail(Code::kUnknownOutcome, "the connection broke"));
  }
  std::string body(std::size_t index) const { return world.transport.requests.at(index).body; }
  bool says(std::size_t index, const std::string& text) const {
    return body(index).find(text) != std::string::npos;
  }
  std::size_t calls() const { return world.transport.requests.size(); }

  aws::testing::World world;
  aws::Client client{world.client_parts()};
  Ec2Options options = hive();
};

TEST_F(Fleet, ListsWhatCarriesTheTagsOfItsClusterWithTheTokensThatWorkersSay) {
  Ec2Fleet fleet(client, options, Logger());
  answer(described(item("i-1", "e1-1", "pending") + item("i-2", "e1-1", "running") +
                   item("i-3", "e1-2", "shutting-down") + item("i-4", "e1-2", "terminated")));
  const auto listed = fleet.list().value();
  EXPECT_TRUE(says(0, "Filter.1.Name=tag%3Askep%3Acluster&Filter.1.Value.1=hive")) << body(0);
  EXPECT_TRUE(says(0, "Filter.2.Name=tag%3Askep%3Arole&Filter.2.Value.1=worker")) << body(0);
  ASSERT_EQ(listed.size(), 4u);
  EXPECT_EQ(listed[1].id, "i-2");
  EXPECT_EQ(listed[1].token, "e1-1-i-2");
  EXPECT_EQ(listed[1].detail, "c7g.large in eu-central-1a");
  EXPECT_EQ(listed[1].type, "c7g.large");
  const InstanceState states[] = {InstanceState::kStarting, InstanceState::kRunning, InstanceState::kStopping,
                                  InstanceState::kGone};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(listed[i].state, states[i]);
  EXPECT_EQ(listed[3].detail, "Server.SpotInstanceTermination");
}

TEST_F(Fleet, OfAManagerWithAStoreOfItsOwnIsItsAlone) {
  options.manager = "http://10.0.0.1:8080";
  Ec2Fleet fleet(client, options, Logger());
  answer(described(""));
  answer(fleet_of({"i-1"}));
  fleet.launch(1, "e1-1");
  EXPECT_TRUE(says(0, "Filter.2.Name=tag%3Askep%3Amanager&Filter.2.Value.1=http%3A%2F%2F10.0.0.1%3A8080"))
      << body(0);
  EXPECT_TRUE(says(1, "Key=skep%3Amanager&TagSpecification.1.Tag.2.Value=http%3A%2F%2F10.0.0.1%3A8080"))
      << body(1);
}

TEST_F(Fleet, LaunchesByAFleetWithATemplateForEachArchitecture) {
  Ec2Fleet fleet(client, options, Logger());
  answer(described(""));
  answer(fleet_of({"i-1", "i-2"}));
  const LaunchReply reply = fleet.launch(2, "e1-1");
  ASSERT_EQ(reply.started.size(), 2u);
  EXPECT_EQ(reply.started[0].token, "e1-1-i-1");
  EXPECT_EQ(reply.started[0].state, InstanceState::kStarting);
  EXPECT_TRUE(reply.errors.empty());
  for (const char* text :
       {"Action=CreateFleet",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=skep-hive-worker-arm64",
        "LaunchTemplateConfigs.2.LaunchTemplateSpecification.LaunchTemplateName=skep-hive-worker-x86_64",
        "LaunchTemplateConfigs.2.Overrides.1.InstanceType=c6i.large",
        "LaunchTemplateConfigs.2.Overrides.1.Priority=1.0", "OnDemandTargetCapacity=2",
        "SpotTargetCapacity=0", "OnDemandOptions.AllocationStrategy=prioritized",
        "TagSpecification.1.Tag.3.Key=skep%3Atoken&TagSpecification.1.Tag.3.Value=e1-1"})
    EXPECT_TRUE(says(1, text)) << text << "\n" << body(1);
  EXPECT_EQ(fleet.launch(2, "e1-1").started.size(), 2u);  // the same reply again
  EXPECT_EQ(calls(), 2u);
}

TEST_F(Fleet, AFleetAtTheSpotPriceHasItsBaseOnDemandFirst) {
  options.is_spot = true;
  options.on_demand_base = 1;
  Ec2Fleet fleet(client, options, Logger());
  answer(described(""));
  answer(fleet_of({"i-1", "i-2"}));
  fleet.launch(2, "e1-1");
  EXPECT_TRUE(says(1, "OnDemandTargetCapacity=1") && says(1, "SpotTargetCapacity=1")) << body(1);
  answer(fleet_of({"i-3"}));
  fleet.launch(1, "e1-2");
  EXPECT_TRUE(says(2, "OnDemandTargetCapacity=0") && says(2, "SpotTargetCapacity=1")) << body(2);
}

TEST_F(Fleet, NeverLaunchesBeyondItsMaximumWhateverTheListShows) {
  Ec2Fleet fleet(client, options, Logger());
  answer(described(item("i-9", "e0-1", "shutting-down")));
  answer(fleet_of({"i-1", "i-2"}));
  fleet.launch(2, "e1-1");
  answer(described(item("i-9", "e0-1", "running")));  // what was launched is not shown yet
  ASSERT_TRUE(fleet.list());
  answer(fleet_of({"i-3"}));
  const LaunchReply reply = fleet.launch(3, "e1-2");
  EXPECT_TRUE(says(3, "TotalTargetCapacity=1")) << body(3);
  EXPECT_EQ(reply.started.size(), 1u);
  ASSERT_EQ(reply.errors.size(), 2u);
  EXPECT_EQ(reply.errors[0].code, Code::kExhausted);
  EXPECT_EQ(fleet.launch(1, "e1-3").errors.size(), 1u);
  EXPECT_EQ(calls(), 4u);
}

TEST_F(Fleet, LaunchesNothingWhileItCanNotSeeWhatIsThere) {
  Ec2Fleet fleet(client, options, Logger());
  answer(refused("UnauthorizedOperation"), 403);
  const LaunchReply reply = fleet.launch(2, "e1-1");
  EXPECT_EQ(reply.errors.size(), 2u);
  EXPECT_EQ(reply.errors[0].code, Code::kForbidden);
  EXPECT_EQ(calls(), 1u);
  answer(described(""));
  answer(fleet_of({"i-1", "i-2"}));
  EXPECT_EQ(fleet.launch(2, "e1-1").started.size(), 2u);  // nothing had been asked for by that token
}

TEST_F(Fleet, ALostAnswerIsLookedUpByTheTagOfItsLaunch) {
  Ec2Fleet fleet(client, options, Logger());
  answer(described(""));
  lose_answers(3);
  answer(described(item("i-1", "e1-1", "pending")));
  const LaunchReply reply = fleet.launch(2, "e1-1");
  EXPECT_EQ(body(1), body(2));  // the same client token, so it starts nothing twice
  EXPECT_TRUE(says(4, "Name=tag%3Askep%3Atoken") && says(4, "Value.1=e1-1")) << body(4);
  ASSERT_EQ(reply.started.size(), 1u);
  EXPECT_EQ(reply.started[0].id, "i-1");
  ASSERT_EQ(reply.errors.size(), 1u);
  EXPECT_EQ(reply.errors[0].code, Code::kUnknownOutcome);
  // The one that may exist counts: of four, two are left.
  answer(fleet_of({"i-3", "i-4"}));
  EXPECT_EQ(fleet.launch(3, "e1-2").errors.size(), 1u);
}

TEST_F(Fleet, WithoutTheFleetCallAChoiceAtATimeIsRun) {
  options.is_spot = true;
  Ec2Fleet fleet(client, options, Logger());
  answer(described(""));
  answer(refused("UnauthorizedOperation"), 403);
  answer(refused("InsufficientInstanceCapacity"), 500);
  answer(refused("InsufficientInstanceCapacity"), 500);
  answer(refused("InsufficientInstanceCapacity"), 500);
  answer("<RunInstancesResponse>" + item("i-1", "e1-1", "pending").substr(6) + "</RunInstancesResponse>");
  fleet.launch(1, "e1-1");
  for (const char* text :
       {"Action=RunInstances", "LaunchTemplate.LaunchTemplateName=skep-hive-worker-arm64",
        "LaunchTemplate.Version=%24Latest", "InstanceMarketOptions.MarketType=spot", "MinCount=1&MaxCount=1"})
    EXPECT_TRUE(says(2, text)) << text << "\n" << body(2);
}

TEST_F(Fleet, EndsEachOfManyWhenOneIsNotKnownYet) {
  Ec2Fleet fleet(client, options, Logger());
  answer(refused("InvalidInstanceID.NotFound"), 400);
  answer("<TerminateInstancesResponse/>");
  answer(refused("InvalidInstanceID.NotFound"), 400);
  EXPECT_TRUE(fleet.terminate({"i-1", "i-2"}));
  EXPECT_TRUE(says(0, "InstanceId.1=i-1") && says(0, "InstanceId.2=i-2"));
  EXPECT_TRUE(says(1, "InstanceId.1=i-1") && says(2, "InstanceId.1=i-2"));
  answer(refused("InvalidInstanceID.NotFound"), 400);
  EXPECT_TRUE(fleet.terminate({"i-3"}));
  answer(refused("UnauthorizedOperation"), 403);
  EXPECT_EQ(fleet.terminate({"i-4"}).error().code, Code::kForbidden);
}

TEST(Ec2OptionsTest, SayWhatIsMissingOrWrong) {
  EXPECT_TRUE(validate(hive()));
  const auto wrong = [](auto spoil) {
    Ec2Options options = hive();
    spoil(options);
    const auto checked = validate(options);
    EXPECT_FALSE(checked);
    return checked ? std::string() : checked.error().message;
  };
  const auto begins = [](const std::string& text, const std::string& with) {
    EXPECT_EQ(text.rfind(with, 0), 0u) << text;
  };
  begins(wrong([](Ec2Options& o) { o.cluster = "a b"; }), "--ec2-cluster 'a b'");
  begins(wrong([](Ec2Options& o) { o.types.clear(); }), "--ec2-worker-types is missing");
  begins(wrong([](Ec2Options& o) { o.types = {"large"}; }), "--ec2-worker-types: 'large'");
  begins(wrong([](Ec2Options& o) { o.subnets.clear(); }), "--ec2-subnets is missing");
  begins(wrong([](Ec2Options& o) { o.subnets = {"vpc-1"}; }), "--ec2-subnets: 'vpc-1'");
  begins(wrong([](Ec2Options& o) { o.on_demand_base = 1; }), "--ec2-on-demand-base");
}

}  // namespace
}  // namespace skep::provision
