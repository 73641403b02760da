// SPDX-License-Identifier: Apache-2.0
// Goal: each service is found in each partition, and the environment's address stands in. Method: a table.
#include "aws/endpoint.h"

#include <gtest/gtest.h>

#include "aws/testing/scripted.h"

namespace skep::aws {
namespace {

TEST(Endpoint, ServicesAreWhereAwsHasThem) {
  const testing::World world;
  const auto origin = [&](Service service, const char* region) {
    const auto found = find_endpoint(service, region, world.environment).value();
    EXPECT_TRUE(found.is_own);
    return found.origin + " " + found.scope.region;
  };
  EXPECT_EQ(origin(Service::kEc2, "eu-central-1"), "https://ec2.eu-central-1.amazonaws.com eu-central-1");
  EXPECT_EQ(origin(Service::kIam, "eu-central-1"), "https://iam.amazonaws.com us-east-1");
  EXPECT_EQ(origin(Service::kSsm, "cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn cn-north-1");
  EXPECT_EQ(origin(Service::kIam, "cn-northwest-1"), "https://iam.cn-north-1.amazonaws.com.cn cn-north-1");
  EXPECT_EQ(origin(Service::kIam, "us-gov-east-1"), "https://iam.us-gov.amazonaws.com us-gov-west-1");
}

TEST(Endpoint, VariablesStandInAndTheServicesOwnFirst) {
  testing::World world;
  world.variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5000/";
  world.variables["AWS_ENDPOINT_URL_S3"] = "https://s3.example.com";
  const auto ec2 = find_endpoint(Service::kEc2, "eu-central-1", world.environment).value();
  EXPECT_EQ(ec2.origin, "http://127.0.0.1:5000");
  EXPECT_FALSE(ec2.is_own);
  EXPECT_EQ(find_endpoint(Service::kS3, "eu-central-1", world.environment).value().origin,
            "https://s3.example.com");
}

TEST(Endpoint, WhatCanNotBeAnAddressIsRefused) {
  testing::World world;
  const auto code = [&](const std::string& region) {
    return find_endpoint(Service::kEc2, region, world.environment).error().code;
  };
  EXPECT_EQ(code(""), Code::kInvalid);
  EXPECT_EQ(code("eu.example.com/"), Code::kInvalid);
  for (const char* url : {"127.0.0.1:5000", "http://u:p@host", "http://host/path"}) {
    world.variables["AWS_ENDPOINT_URL"] = url;
    EXPECT_EQ(code("eu-central-1"), Code::kInvalid) << url;
  }
}

}  // namespace
}  // namespace skep::aws
