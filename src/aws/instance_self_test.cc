// SPDX-License-Identifier: Apache-2.0
// Goal: an instance learns who it is and of its end, and is not frightened by silence. Method: a metadata
// service that is a list of answers.
#include "aws/instance_self.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::aws {
namespace {

class Self : public ::testing::Test {
 protected:
  Self() { world.transport.answer(200, "token of the service"); }
  void answer(const std::string& body) { world.transport.answer(200, body); }
  void nothing() { world.transport.answer(404, ""); }
  Instant now() const { return world.time.at; }

  testing::World world;
  Metadata metadata{world.transport, world.environment};
};

TEST_F(Self, IsItsIdAndTheTagOfItsLaunch) {
  answer("i-0a1b");
  answer("e1-7");
  answer("http://10.0.0.1:8080");
  const auto self = find_self(metadata, now()).value();
  EXPECT_EQ(self.id, "i-0a1b");
  EXPECT_EQ(self.token, "e1-7");
  EXPECT_EQ(self.manager, "http://10.0.0.1:8080");
  EXPECT_EQ(world.transport.requests.back().path, "/latest/meta-data/tags/instance/skep:manager");
}

TEST_F(Self, WithoutTheTagSaysWhatIsMissing) {
  answer("i-0a1b");
  nothing();
  nothing();
  const auto self = find_self(metadata, now());
  EXPECT_EQ(self.error().code, Code::kNotFound);
  EXPECT_NE(self.error().message.find("shows tags in the metadata"), std::string::npos);
}

TEST_F(Self, HasNoNoticeMostOfTheTime) {
  nothing();
  nothing();
  const auto notice = find_notice(metadata, now()).value();
  EXPECT_FALSE(notice.is_interrupted || notice.is_at_risk);
  EXPECT_EQ(notice.text, "");
}

TEST_F(Self, IsToldOfItsEndAndBeforeOfTheRisk) {
  nothing();
  answer(R"({"noticeTime": "2027-01-15T08:00:00Z"})");
  const auto risk = find_notice(metadata, now()).value();
  EXPECT_TRUE(risk.is_at_risk && !risk.is_interrupted);
  EXPECT_EQ(risk.text, "rebalance recommendation of 2027-01-15T08:00:00Z");
  answer(R"({"action": "stop", "time": "2027-01-15T08:02:00Z"})");
  const auto end = find_notice(metadata, now()).value();
  EXPECT_TRUE(end.is_interrupted);
  EXPECT_EQ(end.text, "spot interruption: stop at 2027-01-15T08:02:00Z");
  answer("no JSON");
  EXPECT_EQ(find_notice(metadata, now()).value().text, "spot interruption: terminate");
}

TEST_F(Self, SilenceIsAnErrorAndNoNotice) {
  EXPECT_EQ(find_notice(metadata, now()).error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace skep::aws
