// SPDX-License-Identifier: Apache-2.0
// Goal: a call is repeated as often, as late and as long as it may be, with the clock and the credentials put
// right. Method: AWS that answers by a list, and a clock that moves only in pauses.
#include "aws/client.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::aws {
namespace {

using testing::World;

constexpr const char* kThrottled =
    "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></"
    "Response>";

Call describe() {
  Call call;
  call.operation = "DescribeVpcs";
  call.form = {{"Filter.1.Name", "isDefault"}, {"Filter.1.Value.1", "true"}};
  return call;
}

std::string ec2_error(const std::string& code) {
  return "<Response><Errors><Error><Code>" + code +
         "</Code><Message>why</Message></Error></Errors></Response>";
}

std::string header(const HttpRequest& request, const std::string& name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(Client, FormGoesToTheServiceSigned) {
  World world;
  world.transport.answer(200, "<R><ok>1</ok></R>");
  Client client(world.client_parts());
  const auto answer = client.send_xml(describe(), {world.time.at + seconds(10)});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer.value().text_of("ok"), "1");
  const HttpRequest& sent = world.transport.requests.at(0);
  EXPECT_EQ(sent.origin, "https://ec2.eu-central-1.amazonaws.com");
  EXPECT_EQ(sent.body,
            "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=isDefault&Filter.1.Value.1=true");
  EXPECT_NE(header(sent, "Authorization").find("/eu-central-1/ec2/aws4_request"), std::string::npos);
  EXPECT_EQ(world.transport.timeouts.at(0), seconds(10));
}

TEST(Client, ThrottlingIsRepeatedThreeTimesInAll) {
  World world;
  for (int i = 0; i < 5; ++i) world.transport.answer(503, kThrottled);
  Client client(world.client_parts());
  const auto answer = client.send_xml(describe(), {world.time.at + hours(1)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(answer.error().message, "EC2 DescribeVpcs: RequestLimitExceeded: slow");
  EXPECT_EQ(world.transport.requests.size(), 3u);
  EXPECT_EQ(world.time.pauses.size(), 2u);
}

TEST(Client, AConnectionThatFailsIsTriedAgain) {
  World world;
  world.transport.answers.emplace_back(fail(Code::kUnknownOutcome, "lost"));
  world.transport.answer(200, "<R/>");
  Client client(world.client_parts());
  EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
  EXPECT_EQ(world.transport.requests.size(), 2u);
}

TEST(Client, ACertificateThatIsNotTrustedIsNotTriedAgain) {
  World world;
  world.transport.answers.emplace_back(fail(Code::kUnauthenticated, "who is that"));
  Client client(world.client_parts());
  EXPECT_EQ(client.send_xml(describe(), {world.time.at + hours(1)}).error().code, Code::kUnauthenticated);
  EXPECT_EQ(world.transport.requests.size(), 1u);
}

TEST(Client, RefusalsAreNotRepeated) {
  World world;
  world.transport.answer(500, ec2_error("InsufficientInstanceCapacity"));
  Client client(world.client_parts());
  EXPECT_EQ(client.send_xml(describe(), {world.time.at + hours(1)}).error().code, Code::kExhausted);
  EXPECT_EQ(world.transport.requests.size(), 1u);
}

TEST(Client, DeadlineEndsRepetition) {
  World world;
  for (int i = 0; i < 100; ++i) world.transport.answer(503, kThrottled);
  Client client(world.client_parts());
  const Instant deadline = world.time.at + seconds(40);
  EXPECT_FALSE(client.send_xml(describe(), {deadline, 100}));
  EXPECT_LT(world.time.at, deadline);
  EXPECT_GT(world.transport.requests.size(), 3u);
  EXPECT_LT(world.transport.requests.size(), 30u);
  world.time.at = deadline;
  EXPECT_EQ(client.send_xml(describe(), {deadline, 100}).error().code, Code::kTimeout);
}

TEST(Client, BudgetIsSharedByAllCalls) {
  World world;
  for (int i = 0; i < 1'000; ++i) world.transport.answer(500, "");
  Client client(world.client_parts());
  for (int i = 0; i < 100; ++i) (void)client.send_xml(describe(), {world.time.at + hours(1)});
  EXPECT_EQ(world.transport.requests.size(), 100u + 500 / 14);
}

TEST(Client, RetryAfterIsHeeded) {
  World world;
  world.transport.answer(503, "", {{"x-amz-retry-after", "3000"}});
  world.transport.answer(200, "<R/>");
  Client client(world.client_parts());
  EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
  EXPECT_EQ(world.time.pauses, std::vector<Duration>{seconds(3)});
}

TEST(Client, ClockIsCorrectedOnceAndStaysSo) {
  World world;
  const Pairs date{{"date", "Fri, 15 Jan 2027 09:00:00 GMT"}};  // an hour ahead
  world.transport.answer(403, ec2_error("RequestExpired"), date);
  world.transport.answer(200, "<R/>");
  world.transport.answer(200, "<R/>");
  Client client(world.client_parts());
  EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
  EXPECT_EQ(client.clock_skew(), hours(1));
  EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
  EXPECT_EQ(header(world.transport.requests.at(0), "x-amz-date"), "20270115T080000Z");
  EXPECT_EQ(header(world.transport.requests.at(1), "x-amz-date"), "20270115T090000Z");
  EXPECT_EQ(header(world.transport.requests.at(2), "x-amz-date"), "20270115T090000Z");
  EXPECT_TRUE(world.time.pauses.empty());
}

TEST(Client, AWrongSignatureWithARightClockIsFinal) {
  World world;
  const Pairs date{{"date", "Fri, 15 Jan 2027 08:01:00 GMT"}};
  world.transport.answer(403, ec2_error("SignatureDoesNotMatch"), date);
  Client client(world.client_parts());
  EXPECT_EQ(client.send_xml(describe(), {world.time.at + hours(1)}).error().code, Code::kUnauthenticated);
  EXPECT_EQ(world.transport.requests.size(), 1u);
}

class CountingCredentials final : public CredentialSource {
 public:
  Result<Credentials> get(Instant) override {
    return Credentials{"KEY" + std::to_string(forgotten), "s", "", kNever};
  }
  void forget() override { ++forgotten; }
  int forgotten = 0;
};

TEST(Client, ExpiredCredentialsAreFetchedAnewOnce) {
  World world;
  CountingCredentials credentials;
  for (int i = 0; i < 3; ++i) world.transport.answer(400, ec2_error("ExpiredToken"));
  Client client({world.transport, world.time, world.time, credentials, world.environment, "eu-central-1"});
  EXPECT_EQ(client.send_xml(describe(), {world.time.at + hours(1)}).error().code, Code::kUnauthenticated);
  EXPECT_EQ(credentials.forgotten, 1);
  ASSERT_EQ(world.transport.requests.size(), 2u);
  EXPECT_NE(header(world.transport.requests.at(1), "Authorization").find("KEY1"), std::string::npos);
}

TEST(Client, SessionThatEndedIsRequestExpiredToEc2AndFetchedAnewOnce) {
  World world;
  CountingCredentials credentials;
  const Pairs date{{"date", "Fri, 15 Jan 2027 08:00:30 GMT"}};
  for (int i = 0; i < 3; ++i) world.transport.answer(400, ec2_error("RequestExpired"), date);
  Client client({world.transport, world.time, world.time, credentials, world.environment, "eu-central-1"});
  EXPECT_EQ(client.send_xml(describe(), {world.time.at + hours(1)}).error().code, Code::kUnauthenticated);
  EXPECT_EQ(credentials.forgotten, 1);
  EXPECT_EQ(world.transport.requests.size(), 2u);
  EXPECT_EQ(client.clock_skew(), Duration::zero());
}

TEST(Client, ClockAndSessionAreBothPutRightInOneCall) {
  World world;
  CountingCredentials credentials;
  const Pairs date{{"date", "Fri, 15 Jan 2027 09:00:00 GMT"}};  // an hour ahead
  world.transport.answer(400, ec2_error("RequestExpired"), date);
  world.transport.answer(400, ec2_error("RequestExpired"), date);
  world.transport.answer(200, "<R/>");
  Client client({world.transport, world.time, world.time, credentials, world.environment, "eu-central-1"});
  EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
  EXPECT_EQ(client.clock_skew(), hours(1));
  EXPECT_EQ(credentials.forgotten, 1);
}

TEST(Client, KeysThatWereRenewedOnDiskAreReadAgain) {
  for (const char* code : {"ExpiredToken", "RequestExpired", "InvalidClientTokenId"}) {
    World world;
    const auto write = [&](const std::string& key) {
      world.files["/h/.aws/credentials"] =
          "[default]\naws_access_key_id = " + key + "\naws_secret_access_key = S\naws_session_token = T\n";
    };
    write("OLD");
    FoundCredentials credentials(world.finder_parts());
    Client client({world.transport, world.time, world.time, credentials, world.environment, "eu-central-1"});
    world.transport.answer(200, "<R/>");
    EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)}));
    write("NEW");
    world.transport.answer(400, ec2_error(code), {{"date", "Fri, 15 Jan 2027 08:00:00 GMT"}});
    world.transport.answer(200, "<R/>");
    EXPECT_TRUE(client.send_xml(describe(), {world.time.at + hours(1)})) << code;
    EXPECT_NE(header(world.transport.requests.back(), "Authorization").find("Credential=NEW/"),
              std::string::npos);
  }
}

TEST(Client, BucketsAreHostsAtAwsAndPathsElsewhere) {
  World world;
  Call call;
  call.service = Service::kS3;
  call.operation = "PutObject";
  call.bucket = "skep-hive";
  call.http.method = "PUT";
  call.http.path = "/skep.deb";
  world.transport.answer(200, "");
  world.transport.answer(200, "");
  Client client(world.client_parts());
  EXPECT_TRUE(client.send(call, {world.time.at + hours(1)}));
  world.variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5000";
  EXPECT_TRUE(client.send(call, {world.time.at + hours(1)}));
  EXPECT_EQ(world.transport.requests.at(0).origin, "https://skep-hive.s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(world.transport.requests.at(0).path, "/skep.deb");
  EXPECT_EQ(world.transport.requests.at(1).origin, "http://127.0.0.1:5000");
  EXPECT_EQ(world.transport.requests.at(1).path, "/skep-hive/skep.deb");
}

TEST(Client, RefusalsOfEveryFormAreRead) {
  const auto read = [](std::string body) {
    Reply reply;
    reply.subject = "X Y";
    reply.http.status = 400;
    reply.http.body = std::move(body);
    read_service_error(reply);
    return to_error(reply).message;
  };
  EXPECT_EQ(read(ec2_error("A.B")), "X Y: A.B: why");
  EXPECT_EQ(read("<ErrorResponse><Error><Code>C</Code><Message>m</Message></Error></ErrorResponse>"),
            "X Y: C: m");
  EXPECT_EQ(read("<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>"), "X Y: NoSuchBucket: m");
  EXPECT_EQ(read(R"({"__type":"com.amazon#ParameterNotFound","message":"m"})"), "X Y: ParameterNotFound: m");
  EXPECT_EQ(read("<html>oops"), "X Y: status 400");
}

// A service repeats what it was to sign, with the session's token in it.
TEST(Client, ARefusedSignatureDoesNotCarryTheTokenIntoTheError) {
  World world;
  world.transport.answer(
      403,
      "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>It differs.\n\n"
      "The Canonical String should have been\nx-amz-security-token:TOKEN\n</Message></Error>"
      "</ErrorResponse>");
  Client client(world.client_parts());
  const Error error = client.send_xml(describe(), {world.time.at + hours(1)}).error();
  EXPECT_EQ(error.message, "EC2 DescribeVpcs: SignatureDoesNotMatch: It differs.");
}

TEST(Client, CodesAreTold) {
  EXPECT_EQ(code_of("InvalidGroup.NotFound", 400), Code::kNotFound);
  EXPECT_EQ(code_of("InvalidAMIID.NotFound", 400), Code::kInvalid);
  EXPECT_EQ(code_of("NoSuchEntity", 404), Code::kNotFound);
  EXPECT_EQ(code_of("DBInstanceNotFound", 404), Code::kNotFound);
  EXPECT_EQ(code_of("InvalidDBInstanceState", 400), Code::kConflict);
  EXPECT_EQ(code_of("InstanceQuotaExceeded", 400), Code::kExhausted);
  EXPECT_EQ(code_of("EntityAlreadyExists", 409), Code::kConflict);
  EXPECT_EQ(code_of("DependencyViolation", 400), Code::kConflict);
  EXPECT_EQ(code_of("VcpuLimitExceeded", 400), Code::kExhausted);
  EXPECT_EQ(code_of("UnauthorizedOperation", 403), Code::kForbidden);
  EXPECT_EQ(code_of("InvalidClientTokenId", 403), Code::kUnauthenticated);
  EXPECT_EQ(code_of("MissingParameter", 400), Code::kInvalid);
  EXPECT_EQ(code_of("", 404), Code::kNotFound);
  EXPECT_EQ(code_of("", 503), Code::kUnavailable);
}

}  // namespace
}  // namespace skep::aws
