// SPDX-License-Identifier: Apache-2.0
// Goal: keys are taken from the first place that is configured, renewed before they end, and told to nobody.
// Method: tables for environment and files, answers by a list for STS, the container and the instance.
#include "aws/credentials.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::aws {
namespace {

using testing::World;

std::string assumed(const std::string& operation, const std::string& key, const std::string& end) {
  return "<" + operation + "Response><" + operation + "Result><Credentials><AccessKeyId>" + key +
         "</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>" +
         end + "</Expiration></Credentials></" + operation + "Result></" + operation + "Response>";
}

std::string keys_json(const std::string& key, const std::string& end) {
  return R"({"AccessKeyId":")" + key + R"(","SecretAccessKey":"S","Token":"T","Expiration":")" + end + "\"}";
}

std::string key_of(World& world, const std::string& profile = "") {
  FoundCredentials source(world.finder_parts(profile));
  const auto found = source.get(world.time.at);
  return found ? found.value().access_key_id : found.error().message;
}

TEST(Credentials, EnvironmentComesFirstUnlessAProfileIsNamed) {
  World world;
  world.variables["AWS_ACCESS_KEY_ID"] = "ENV";
  world.variables["AWS_SECRET_ACCESS_KEY"] = "S";
  world.files["/h/.aws/credentials"] =
      "[default]\naws_access_key_id = FILE\naws_secret_access_key = S\n[b]\naws_access_key_id = B\n"
      "aws_secret_access_key = S\n";
  EXPECT_EQ(key_of(world), "ENV");
  EXPECT_EQ(key_of(world, "b"), "B");
  world.variables.erase("AWS_ACCESS_KEY_ID");
  EXPECT_EQ(key_of(world), "the environment: AWS_ACCESS_KEY_ID is not set, its secret is");
  world.variables.erase("AWS_SECRET_ACCESS_KEY");
  EXPECT_EQ(key_of(world), "FILE");
}

TEST(Credentials, RoleIsAssumedWithTheKeysOfItsSource) {
  World world;
  world.files["/h/.aws/config"] =
      "[profile a]\nrole_arn = arn:role\nsource_profile = b\nexternal_id = e\n[profile b]\n"
      "aws_access_key_id = B\naws_secret_access_key = S\n";
  world.transport.answer(200, assumed("AssumeRole", "ROLE", "2027-01-15T09:00:00Z"));
  EXPECT_EQ(key_of(world, "a"), "ROLE");
  const HttpRequest& sent = world.transport.requests.at(0);
  EXPECT_EQ(sent.origin, "https://sts.eu-central-1.amazonaws.com");
  EXPECT_EQ(sent.body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Arole&RoleSessionName=skep&ExternalId=e");
  EXPECT_NE(sent.headers.back().second.find("Credential=B/"), std::string::npos);
}

TEST(Credentials, RolesThatLeadInACircleEnd) {
  World world;
  world.files["/h/.aws/config"] =
      "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n";
  EXPECT_EQ(key_of(world, "a"), "profile a: its source_profile leads back to itself");
  EXPECT_TRUE(world.transport.requests.empty());
}

TEST(Credentials, ARoleWithACodeIsRefusedInWords) {
  World world;
  world.files["/h/.aws/config"] =
      "[profile a]\nrole_arn = r\nsource_profile = b\nmfa_serial = m\n[profile b]\n";
  EXPECT_NE(key_of(world, "a").find("mfa_serial"), std::string::npos);
}

TEST(Credentials, WebIdentityIsNotSigned) {
  World world;
  world.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/t";
  world.variables["AWS_ROLE_ARN"] = "r";
  world.files["/t"] = "jwt";
  world.transport.answer(200, assumed("AssumeRoleWithWebIdentity", "WEB", "2027-01-15T09:00:00Z"));
  EXPECT_EQ(key_of(world), "WEB");
  for (const auto& [name, value] : world.transport.requests.at(0).headers) EXPECT_NE(name, "Authorization");
}

TEST(Credentials, ProcessPrintsThem) {
  World world;
  world.files["/h/.aws/config"] = "[default]\ncredential_process = get-keys --for me\n";
  world.programs["get-keys --for me"] =
      R"({"Version":1,"AccessKeyId":"PROC","SecretAccessKey":"S","SessionToken":"T"})";
  EXPECT_EQ(key_of(world), "PROC");
  world.programs["get-keys --for me"] = "SECRET IN NO FORM";
  EXPECT_EQ(key_of(world), "profile default's credential_process: the credentials are not JSON");
}

TEST(Credentials, ContainerIsAskedWithItsTokenButOnlyNearby) {
  World world;
  world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials";
  world.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "pass";
  world.transport.answer(200, keys_json("CONT", "2027-01-15T09:00:00Z"));
  EXPECT_EQ(key_of(world), "CONT");
  EXPECT_EQ(world.transport.requests.at(0).headers.at(0).second, "pass");
  const auto is_asked = [&](const std::string& url) {
    world.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    const std::size_t before = world.transport.requests.size();
    const std::string found = key_of(world);
    const bool is_refused = found.find("neither https nor an address of this machine") != std::string::npos;
    EXPECT_NE(world.transport.requests.size() > before, is_refused) << url;
    return !is_refused;
  };
  for (const char* near :
       {"http://169.254.170.2/v2", "http://127.9.9.9:8080/k", "http://localhost/k", "http://localhost:99/k",
        "http://[::1]:8080/k", "http://[fd00:ec2::23]/v1", "https://example.com/k"})
    EXPECT_TRUE(is_asked(near)) << near;
  for (const char* far :
       {"http://example.com/keys", "http://127.0.0.1.example.com/k", "http://localhost.example.com/k",
        "http://169.254.170.23.example.com/k", "http://169.254.170.99/k", "http://169.254.169.254/k",
        "http://127.0.0.1@example.com/k", "http://[fd00:ec2::24]/k", "http:///k"})
    EXPECT_FALSE(is_asked(far)) << far;
}

TEST(Credentials, ContainersPathCanNotLeadElsewhere) {
  World world;
  world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "@example.com/keys";
  EXPECT_NE(key_of(world).find("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is neither"), std::string::npos);
  world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/keys";
  world.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/token";
  world.files["/token"] = "pass\n";
  world.transport.answer(200, keys_json("CONT", "2027-01-15T09:00:00Z"));
  EXPECT_EQ(key_of(world), "CONT");
  EXPECT_EQ(world.transport.requests.at(0).headers.at(0).second, "pass");
  world.files["/token"] = "pass\r\nX-Other: 1";
  EXPECT_NE(key_of(world).find("several lines"), std::string::npos);
  EXPECT_EQ(world.transport.requests.size(), 1u);
}

TEST(Credentials, InstanceIsAskedWithASessionToken) {
  World world;
  world.transport.answer(200, "session");
  world.transport.answer(200, "skep-manager");
  world.transport.answer(200, keys_json("INST", "2027-01-15T14:00:00Z"));
  EXPECT_EQ(key_of(world), "INST");
  EXPECT_EQ(world.transport.requests.at(0).method, "PUT");
  EXPECT_EQ(world.transport.requests.at(0).path, "/latest/api/token");
  EXPECT_EQ(world.transport.requests.at(2).path, "/latest/meta-data/iam/security-credentials/skep-manager");
  EXPECT_EQ(world.transport.requests.at(2).headers.at(0),
            (std::pair<std::string, std::string>("x-aws-ec2-metadata-token", "session")));
  EXPECT_EQ(world.transport.timeouts.at(0), seconds(1));
  EXPECT_TRUE(world.transport.requests.at(0).is_direct);
}

TEST(Credentials, WithoutAnyTheSentenceSaysWhatToDo) {
  World world;
  world.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_NE(key_of(world).find("set AWS_ACCESS_KEY_ID"), std::string::npos);
  EXPECT_TRUE(world.transport.requests.empty());
}

TEST(Credentials, TheyAreRenewedFiveMinutesBeforeTheirEnd) {
  World world;
  world.files["/h/.aws/config"] = "[default]\ncredential_process = p\n";
  const auto print = [&](const char* key, const char* end) { world.programs["p"] = keys_json(key, end); };
  print("OLD", "2027-01-15T09:00:00Z");
  FoundCredentials source(world.finder_parts());
  const Instant start = world.time.at;
  EXPECT_EQ(source.get(start).value().access_key_id, "OLD");
  print("NEW", "2027-01-15T10:00:00Z");
  EXPECT_EQ(source.get(start + minutes(54)).value().access_key_id, "OLD");
  world.programs.clear();  // can not be renewed now: the old ones still serve
  EXPECT_EQ(source.get(start + minutes(56)).value().access_key_id, "OLD");
  print("NEW", "2027-01-15T10:00:00Z");
  EXPECT_EQ(source.get(start + minutes(57)).value().access_key_id, "NEW");
  world.programs.clear();
  EXPECT_EQ(source.get(start + hours(2)).error().code, Code::kUnauthenticated);
}

TEST(Credentials, RegionHasAnOrder) {
  World world;
  world.transport.answer(200, "session");
  world.transport.answer(200, "from-instance");
  EXPECT_EQ(find_region("", world.finder_parts()).value(), "from-instance");
  world.files["/h/.aws/config"] = "[default]\nregion = from-profile\n";
  EXPECT_EQ(find_region("", world.finder_parts()).value(), "from-profile");
  world.variables["AWS_DEFAULT_REGION"] = "from-default";
  EXPECT_EQ(find_region("", world.finder_parts()).value(), "from-default");
  world.variables["AWS_REGION"] = "from-variable";
  EXPECT_EQ(find_region("", world.finder_parts()).value(), "from-variable");
  EXPECT_EQ(find_region("from-flag", world.finder_parts()).value(), "from-flag");
  EXPECT_EQ(find_region("", World().finder_parts()).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace skep::aws
