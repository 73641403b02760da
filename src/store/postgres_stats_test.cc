// SPDX-License-Identifier: Apache-2.0
// Goal: the line about durability promises no more than the server's settings do.
// Method: each combination that means something else.
#include "store/postgres_stats.h"

#include <gtest/gtest.h>

namespace skep::store {
namespace {

TEST(PostgresStats, TheLineAboutDurabilityFollowsTheServersSettings) {
  const auto line = [](const std::string& commit, const std::string& standbys) {
    return describe_durability({"on", commit, standbys, 2, "on"});
  };
  EXPECT_TRUE(
      line("on", "").starts_with("on the server's disk; a failover to a standby may lose the newest"));
  EXPECT_TRUE(line("local", "a").starts_with("on the server's disk; a failover to a standby may lose"));
  EXPECT_TRUE(line("off", "a").starts_with("NOT durable: synchronous_commit = off"));
  EXPECT_EQ(line("on", "ANY 1 (a, b)"),
            "on the server's disk and on the disk of the synchronous standbys 'ANY 1 (a, b)' (2 seen now)");
  EXPECT_NE(line("remote_write", "a").find("in the memory of the machine of"), std::string::npos);
  EXPECT_NE(line("remote_apply", "a").find("visible at"), std::string::npos);
  EXPECT_TRUE(
      describe_durability({"off", "on", "a", 1, "on"}).starts_with("NOT durable: the server's fsync"));
  EXPECT_TRUE(describe_durability({"on", "on", "", 0, "off"}).ends_with("(data_checksums = off)"));
}

}  // namespace
}  // namespace skep::store
