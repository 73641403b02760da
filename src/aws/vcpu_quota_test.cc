// SPDX-License-Identifier: Apache-2.0
// Goal: each type counts for the quota that EC2 counts it for. Method: types of each kind by name.
#include "aws/vcpu_quota.h"

#include <gtest/gtest.h>

namespace skep::aws {
namespace {

TEST(VcpuQuota, IsThatOfTheTypesKind) {
  const auto code = [](std::string_view type) {
    const VcpuQuota* quota = vcpu_quota_of(type);
    return quota == nullptr ? std::string_view("none") : quota->on_demand;
  };
  for (const char* type : {"c7g.large", "m5.xlarge", "t3.micro", "a1.medium", "d3en.xlarge", "h1.2xlarge",
                           "i4i.large", "im4gn.large", "is4gen.medium", "r6id.metal", "z1d.large"})
    EXPECT_EQ(code(type), "L-1216C47A") << type;
  for (const char* type : {"g4dn.xlarge", "g5g.xlarge", "gr6.4xlarge", "vt1.3xlarge"})
    EXPECT_EQ(code(type), "L-DB2E81BA") << type;
  EXPECT_EQ(code("p4d.24xlarge"), "L-417A185B");
  EXPECT_EQ(code("inf2.xlarge"), "L-1945791B");
  EXPECT_EQ(code("trn1.2xlarge"), "L-2C3B7624");
  EXPECT_EQ(code("x2idn.16xlarge"), "L-7295265B");
  EXPECT_EQ(code("f1.2xlarge"), "L-74FC7D96");
  EXPECT_EQ(code("dl1.24xlarge"), "L-6E869C2A");
  for (const char* type : {"mac2.metal", "hpc6a.48xlarge", "u-6tb1.metal", "", "large"})
    EXPECT_EQ(code(type), "none") << type;
  EXPECT_EQ(vcpu_quota_of("c5.large")->spot, "L-34B43A08");
  EXPECT_EQ(vcpu_quota_of("g5.xlarge"), vcpu_quota_of("g4dn.xlarge"));
}

TEST(VcpuQuota, SizesGrowByTheirName) {
  EXPECT_EQ(vcpus_by_name("t3.micro"), 1);
  EXPECT_EQ(vcpus_by_name("c5.large"), 2);
  EXPECT_EQ(vcpus_by_name("c5.xlarge"), 4);
  EXPECT_EQ(vcpus_by_name("c5.24xlarge"), 96);
  EXPECT_GT(vcpus_by_name("c5.metal"), 1000);
  EXPECT_GT(vcpus_by_name("c5"), 1000);
}

}  // namespace
}  // namespace skep::aws
