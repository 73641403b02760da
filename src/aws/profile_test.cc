// SPDX-License-Identifier: Apache-2.0
// Goal: the two files are read as AWS's tools read them. Method: texts with their corners.
#include "aws/profile.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::aws {
namespace {

TEST(Profile, SectionsSettingsAndCommentsAreTold) {
  const auto profiles = parse_profiles(
      "# first\nstray = 1\n[default]\nregion=eu-central-1 # there\r\n[profile build]\nRole_Arn = a=b#c\n"
      "s3 =\n  max_queue = 5\nnonsense\n");
  ASSERT_EQ(profiles.size(), 2u);
  EXPECT_EQ(profiles.at("default").at("region"), "eu-central-1");
  EXPECT_EQ(profiles.at("build").at("role_arn"), "a=b#c");
  EXPECT_FALSE(profiles.at("build").contains("max_queue"));
}

TEST(Profile, FilesAreFoundAndCredentialsCountFirst) {
  testing::World world;
  world.files["/h/.aws/config"] = "[default]\nregion = a\noutput = json\n";
  world.files["/h/elsewhere"] = "[default]\nregion = b\n";
  world.variables["AWS_SHARED_CREDENTIALS_FILE"] = "~/elsewhere";
  const auto profiles = read_profiles(world.environment, "").value();
  EXPECT_EQ(profiles.get("default", "region"), "b");
  EXPECT_EQ(profiles.get("default", "output"), "json");
  EXPECT_FALSE(profiles.is_chosen_explicitly);
}

TEST(Profile, AProfileThatWasAskedForMustBeThere) {
  testing::World world;
  EXPECT_TRUE(read_profiles(world.environment, ""));
  EXPECT_EQ(read_profiles(world.environment, "build").error().code, Code::kNotFound);
  world.variables["AWS_PROFILE"] = "build";
  EXPECT_EQ(read_profiles(world.environment, "").error().code, Code::kNotFound);
  world.files["/h/.aws/config"] = "[profile build]\n";
  EXPECT_EQ(read_profiles(world.environment, "").value().chosen, "build");
}

}  // namespace
}  // namespace skep::aws
