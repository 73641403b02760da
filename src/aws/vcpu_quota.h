// SPDX-License-Identifier: Apache-2.0
// vcpu_quota.h - which quota of an account an instance type counts for: EC2 has one for each kind of machine,
// on demand and at the spot price.
//
// Threads:   any thread; values in, values out.
#pragma once

#include <string_view>

namespace skep::aws {

struct VcpuQuota {
  std::string_view name;       // "standard (A, C, D, H, I, M, R, T, Z)", "G and VT", ...
  std::string_view on_demand;  // its code at Service Quotas
  std::string_view spot;
};

// By the type's name. Null: a kind that is not known here, or that has no quota of vCPUs.
const VcpuQuota* vcpu_quota_of(std::string_view type);

// By the size in the type's name, in which 1, 2, 4, 8 and 16 is most often right; small ones count as 1, what
// is not known ("metal") as more than any.
int vcpus_by_name(std::string_view type);

}  // namespace skep::aws
