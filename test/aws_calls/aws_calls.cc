// SPDX-License-Identifier: Apache-2.0
// Goal: every typed call of src/aws does what its header says. Method: stories against the AWS that the
// environment names (AWS_ENDPOINT_URL, keys, AWS_REGION), which end as they began; calls_test.py runs it.
#include <gtest/gtest.h>

#include <algorithm>

#include "aws/credentials.h"
#include "aws/ec2.h"
#include "aws/iam.h"
#include "aws/rds.h"
#include "aws/s3.h"
#include "aws/ssm.h"
#include "aws/transport_curl.h"
#include "base/clock.h"

namespace skep::aws {
namespace {

const Tags kTags{{"skep:cluster", "calls & <co>"}};

// The next try comes at once: what is waited for elsewhere is the service's clock, which runs fast.
class NoPauses final : public Pauses {
 public:
  void pause(Duration) override {}
};

class Calls : public ::testing::Test {
 protected:
  CallOptions soon() const { return {clock.now() + seconds(30), 20}; }

  // Repeats until `call` succeeds, as the service learns late of what it made itself.
  template <class F>
  auto settled(F call) {
    const Instant deadline = clock.now() + seconds(20);
    auto result = call();
    while (!result && result.error().code != Code::kInvalid && clock.now() < deadline) result = call();
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result;
  }

  std::string image() { return ssm.parameter("/aws/service/debian/release/12/latest/amd64", soon()).value(); }
  Subnet any_subnet() {
    const std::string vpc = ec2.vpcs({{"is-default", {"true"}}}, soon()).value().at(0).id;
    return ec2.subnets({{"vpc-id", {vpc}}}, soon()).value().at(0);
  }

  SystemClock clock;
  CurlTransport transport;
  NoPauses pauses;
  Environment environment = own_environment();
  FoundCredentials credentials{{transport, clock, pauses, environment, "", "eu-central-1", 1}};
  Client client{{transport, clock, pauses, credentials, environment, "eu-central-1", 1}};
  Ec2 ec2{client};
  Iam iam{client};
  Ssm ssm{client};
  S3 s3{client};
};

TEST_F(Calls, NetworkIsSeen) {
  EXPECT_FALSE(iam.identity(soon()).value().account.empty());
  const auto vpcs = ec2.vpcs({{"is-default", {"true"}}}, soon()).value();
  ASSERT_EQ(vpcs.size(), 1u);
  EXPECT_TRUE(vpcs[0].is_default);
  const Names zones = ec2.zones(soon()).value();
  EXPECT_GE(zones.size(), 2u);
  const Subnet subnet = any_subnet();
  EXPECT_EQ(subnet.vpc, vpcs[0].id);
  EXPECT_GT(subnet.free_addresses, 0);
  EXPECT_FALSE(ec2.zones_with("c5.large", soon()).value().empty());
  EXPECT_EQ(ec2.vcpus_of("c5.large", soon()).value(), 2);
  EXPECT_GT(ssm.quota("ec2", "L-1216C47A", soon()).value(), 0);
}

TEST_F(Calls, GroupTakesRulesAndEnds) {
  const std::string vpc = any_subnet().vpc;
  const std::string group = ec2.create_group("calls", "for a test", vpc, kTags, soon()).value();
  const auto described = [&]() -> Result<SecurityGroup> {
    SKEP_TRY(const auto found, ec2.groups({{"group-name", {"calls"}}, {"vpc-id", {vpc}}}, soon()));
    if (found.empty()) return fail(Code::kNotFound, "not seen yet");
    return found.front();
  };
  const std::vector<IngressRule> rules{{"tcp", 8080, 8080, "203.0.113.0/24", ""},
                                       {"tcp", 8080, 8080, "2001:db8::/32", ""},
                                       {"-1", 0, 0, "", group}};
  EXPECT_TRUE(settled([&] { return ec2.allow_ingress(group, rules, soon()); }));
  const auto seen = settled(described).value();
  EXPECT_EQ(seen.id, group);
  EXPECT_EQ(seen.tags, kTags);
  EXPECT_EQ(seen.ingress.size(), 3u);
  for (const IngressRule& rule : rules)
    EXPECT_EQ(std::count(seen.ingress.begin(), seen.ingress.end(), rule), 1) << rule.cidr << rule.group;
  EXPECT_EQ(ec2.allow_ingress(group, {rules[0]}, soon()).error().code, Code::kConflict);
  EXPECT_EQ(ec2.create_group("calls", "again", vpc, {}, soon()).error().code, Code::kConflict);
  EXPECT_TRUE(ec2.revoke_ingress(group, {rules[0]}, soon()));
  EXPECT_TRUE(ec2.delete_group(group, soon()));
}

TEST_F(Calls, RoleAndProfileAreMadeAndEnd) {
  constexpr const char* kDocument = R"({"Version":"2012-10-17","Statement":[)"
                                    R"({"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}]})";
  EXPECT_EQ(iam.role("calls", soon()).error().code, Code::kNotFound);
  EXPECT_EQ(iam.create_role("calls", kTags, soon()).value().name, "calls");
  EXPECT_EQ(iam.create_role("calls", kTags, soon()).error().code, Code::kConflict);
  EXPECT_EQ(iam.role("calls", soon()).value().tags, kTags);
  EXPECT_TRUE(iam.put_policy("calls", "only", kDocument, soon()));
  EXPECT_TRUE(iam.create_profile("calls", kTags, soon()));
  EXPECT_TRUE(iam.add_role("calls", "calls", soon()));
  EXPECT_EQ(iam.profile("calls", soon()).value().roles, Names{"calls"});
  EXPECT_EQ(iam.delete_role("calls", soon()).error().code, Code::kConflict);
  EXPECT_TRUE(iam.remove_role("calls", "calls", soon()));
  EXPECT_TRUE(iam.delete_profile("calls", soon()));
  EXPECT_TRUE(iam.delete_policy("calls", "only", soon()));
  EXPECT_TRUE(iam.delete_role("calls", soon()));
}

TEST_F(Calls, SecretIsKept) {
  EXPECT_EQ(ssm.parameter("/skep/calls/token", soon()).error().code, Code::kNotFound);
  EXPECT_TRUE(ssm.put_secret("/skep/calls/token", "first \"secret\"", soon()));
  EXPECT_TRUE(ssm.put_secret("/skep/calls/token", "second", soon()));
  EXPECT_TRUE(ssm.tag_parameter("/skep/calls/token", kTags, soon()));
  EXPECT_EQ(ssm.parameter("/skep/calls/token", soon()).value(), "second");
  EXPECT_TRUE(ssm.delete_parameter("/skep/calls/token", soon()));
}

TEST_F(Calls, BucketHoldsObjectsOfOddNames) {
  const std::string body(200'000, '\x81');
  const Names keys{"a b+c/\xc3\xa9%.deb", "plain"};
  EXPECT_TRUE(s3.create_bucket("skep-calls", soon()));
  for (const auto& key : keys) EXPECT_TRUE(s3.put("skep-calls", key, body, soon()));
  EXPECT_EQ(s3.get("skep-calls", keys[0], soon()).value(), body);
  EXPECT_EQ(s3.get("skep-calls", "nothing", soon()).error().code, Code::kNotFound);
  EXPECT_EQ(s3.keys("skep-calls", soon()).value(), keys);
  EXPECT_EQ(s3.delete_bucket("skep-calls", soon()).error().code, Code::kConflict);
  for (const auto& key : keys) EXPECT_TRUE(s3.remove("skep-calls", key, soon()));
  EXPECT_TRUE(s3.delete_bucket("skep-calls", soon()));
  EXPECT_EQ(s3.keys("skep-calls", soon()).error().code, Code::kNotFound);
}

TEST_F(Calls, DatabaseComesAndGoesAndLeavesASnapshot) {
  Rds rds{client};
  const std::string vpc = any_subnet().vpc;
  Names subnets;
  const auto all = ec2.subnets({{"vpc-id", {vpc}}}, soon()).value();
  for (const Subnet& one : all) subnets.push_back(one.id);
  const std::string group = ec2.create_group("calls-db", "for a test", vpc, kTags, soon()).value();
  EXPECT_EQ(rds.subnet_group("calls", soon()).error().code, Code::kNotFound);
  EXPECT_TRUE(settled([&] { return rds.create_subnet_group("calls", subnets, kTags, soon()); }));
  EXPECT_EQ(rds.create_subnet_group("calls", subnets, kTags, soon()).error().code, Code::kConflict);
  const SubnetGroup there = rds.subnet_group("calls", soon()).value();
  EXPECT_EQ(there.vpc, vpc);
  EXPECT_EQ(rds.tags(there.arn, soon()).value(), kTags);

  DatabaseSpec spec{"calls", "db.m6g.large",   "15",    20,      "skep",
                    "skep",  "calls-password", "calls", {group}, kTags};
  EXPECT_EQ(rds.database("calls", soon()).error().code, Code::kNotFound);
  EXPECT_TRUE(settled([&] { return rds.create_database(spec, soon()); }));
  EXPECT_EQ(rds.create_database(spec, soon()).error().code, Code::kConflict);
  const auto is = [&](const std::string& status) -> Result<Database> {
    SKEP_TRY(Database one, rds.database("calls", soon()));
    if (one.status != status) return fail(Code::kUnavailable, "it is " + one.status);
    return one;
  };
  const Database made = settled([&] { return is("available"); }).value();
  EXPECT_EQ(made.tags, kTags);
  EXPECT_EQ(made.size_gib, 20);
  EXPECT_TRUE(made.is_in_two_zones && made.is_protected);
  EXPECT_FALSE(made.host.empty() || made.resource.empty());
  EXPECT_EQ(ec2.delete_group(group, soon()).error().code, Code::kConflict);
  EXPECT_EQ(rds.delete_subnet_group("calls", soon()).error().code, Code::kConflict);
  EXPECT_EQ(rds.delete_database("calls", "calls-final", soon()).error().code, Code::kInvalid);
  EXPECT_TRUE(rds.unprotect("calls", soon()));
  EXPECT_TRUE(settled([&] { return is("available"); }));
  EXPECT_TRUE(rds.delete_database("calls", "calls-final", soon()));
  EXPECT_TRUE(settled([&]() -> Result<void> {
    const auto one = rds.database("calls", soon());
    if (one) return fail(Code::kUnavailable, "it is " + one.value().status);
    return one.error().code == Code::kNotFound ? ok() : Result<void>(one.error());
  }));
  EXPECT_TRUE(rds.delete_subnet_group("calls", soon()));
  EXPECT_TRUE(ec2.delete_group(group, soon()));
}

class Launches : public Calls {
 protected:
  Result<Instance> seen(const std::string& id, const std::string& state) {
    SKEP_TRY(const auto found, ec2.instances({{"instance-id", {id}}}, soon()));
    if (found.size() != 1 || found[0].state != state)
      return fail(Code::kNotFound, id + " is not yet " + state);
    return found[0];
  }
  void end(const std::string& id) {
    EXPECT_TRUE(settled([&] { return ec2.terminate({id}, soon()); }));
    EXPECT_TRUE(settled([&] { return seen(id, "terminated"); }));
  }
};

TEST_F(Launches, TheSameTokenLaunchesOnceAndAVolumeOutlivesIt) {
  const Subnet subnet = any_subnet();
  LaunchSpec spec;
  spec.client_token = "calls-1";
  spec.image = image();
  spec.type = "c5.large";
  spec.subnet = subnet.id;
  spec.user_data = "#!/bin/sh\n";
  spec.disk_gib = 10;
  spec.ends_on_shutdown = true;
  spec.tags = kTags;
  const auto first = ec2.run_instances(spec, soon()).value();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(ec2.run_instances(spec, soon()).value().at(0).id, first[0].id);
  const Instance running = settled([&] { return seen(first[0].id, "running"); }).value();
  EXPECT_EQ(running.zone, subnet.zone);
  EXPECT_EQ(running.tags, kTags);
  EXPECT_FALSE(running.private_address.empty());
  EXPECT_TRUE(running.launched);
  EXPECT_FALSE(running.is_spot);
  EXPECT_TRUE(ec2.tag({running.id}, {{"more", "1"}}, soon()));

  const std::string volume = ec2.create_volume({subnet.zone, 8, "calls-volume", kTags}, soon()).value();
  EXPECT_TRUE(settled([&] { return ec2.attach_volume(volume, running.id, "/dev/sdf", soon()); }));
  EXPECT_EQ(ec2.attach_volume(volume, running.id, "/dev/sdf", soon()).error().code, Code::kConflict);
  const auto attached = settled([&]() -> Result<Volume> {
    SKEP_TRY(const auto found, ec2.volumes({{"volume-id", {volume}}}, soon()));
    if (found.size() != 1 || found[0].instance != running.id) return fail(Code::kNotFound, "not seen yet");
    return found[0];
  });
  EXPECT_EQ(attached.value().zone, subnet.zone);
  end(running.id);
  EXPECT_TRUE(settled([&] { return ec2.delete_volume(volume, soon()); }));
}

TEST_F(Launches, UnknownProfileIsForLater) {
  LaunchSpec spec;
  spec.image = image();
  spec.type = "c5.large";
  spec.profile = "calls-nobody";
  EXPECT_EQ(ec2.run_instances(spec, soon()).error().code, Code::kUnavailable);
}

TEST_F(Launches, FleetIsLaunchedFromATemplate) {
  TemplateSpec spec;
  spec.name = "calls-worker";
  spec.client_token = "calls-template";
  spec.launch.image = image();
  spec.launch.type = "c5.large";
  spec.launch.ends_on_shutdown = true;
  spec.launch.tags = kTags;
  spec.tags = kTags;
  const std::string id = ec2.create_template(spec, soon()).value();
  const auto found = settled([&]() -> Result<Template> {
    SKEP_TRY(const auto all, ec2.templates({{"launch-template-name", {"calls-worker"}}}, soon()));
    if (all.empty()) return fail(Code::kNotFound, "not seen yet");
    return all.front();
  });
  EXPECT_EQ(found.value().id, id);
  EXPECT_EQ(found.value().tags, kTags);
  FleetSpec fleet;
  fleet.client_token = "calls-fleet";
  fleet.template_id = id;
  fleet.choices = {{"c5.large", any_subnet().id, "", 0}, {"c5.xlarge", any_subnet().id, "", 0}};
  fleet.on_demand = 1;
  fleet.spot = 1;
  const Fleet started = ec2.create_fleet(fleet, soon()).value();
  EXPECT_EQ(started.instances.size(), 2u);
  for (const auto& one : started.instances) end(one);
  EXPECT_TRUE(ec2.delete_template(id, soon()));
}

TEST_F(Launches, DryRunSaysWhatMayBeDone) {
  Form form;
  form.set("MinCount", "1").set("MaxCount", "1").set("ImageId", image()).set("InstanceType", "c5.large");
  EXPECT_TRUE(ec2.may("RunInstances", form, soon()));
}

}  // namespace
}  // namespace skep::aws
