// SPDX-License-Identifier: Apache-2.0
// Goal: what a signed request carries. That its signature is right, test/signing holds against botocore's.
#include "aws/signer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace skep::aws {
namespace {

const Credentials kKeys{"AKID", "secret", "token", kNever};
const SigningScope kScope{"eu-central-1", "s3"};

std::string header(const HttpRequest& request, const std::string& name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(Signer, EveryHeaderButUserAgentIsSigned) {
  HttpRequest request;
  request.origin = "https://b.s3.eu-central-1.amazonaws.com";
  request.headers = {{"User-Agent", "skep"}, {"X-Foo", "1"}};
  sign(request, kKeys, kScope, Instant(seconds(1'800'000'000)));
  EXPECT_NE(header(request, "Authorization")
                .find("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-foo,"),
            std::string::npos);
  EXPECT_EQ(header(request, "x-amz-date"), "20270115T080000Z");
  EXPECT_EQ(header(request, "Authorization").find("secret"), std::string::npos);
}

TEST(Signer, SigningAgainIsAsIfItWereTheFirstTime) {
  HttpRequest once;
  once.origin = "https://s3.eu-central-1.amazonaws.com";
  HttpRequest twice = once;
  sign(twice, {"OTHER", "keys", "of another session", kNever}, kScope, Instant(seconds(1)));
  sign(once, kKeys, kScope, Instant(seconds(1'800'000'000)));
  sign(twice, kKeys, kScope, Instant(seconds(1'800'000'000)));
  EXPECT_EQ(once.headers, twice.headers);
}

TEST(Signer, QueriesAreSortedByTheirEncodedForm) {
  EXPECT_EQ(canonical_query({{"b", "2"}, {"a", "/"}, {"a", "1"}, {"A", ""}}), "A=&a=%2F&a=1&b=2");
  EXPECT_EQ(canonical_query({}), "");
}

}  // namespace
}  // namespace skep::aws
