// SPDX-License-Identifier: Apache-2.0
// ec2_census.h - how many instances of the cluster may exist, whatever the last list showed.
//
// Counts what the list shows alive, what was launched and is not shown yet, and what launches of unknown
// outcome may have made. Pure.
//
// Threads:   value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "aws/ec2.h"

namespace skep::provision {

class Ec2Census {
 public:
  // What was launched and is not listed for so long is not there.
  static constexpr Duration kShownBy = minutes(5);

  void listed(Instant now, const std::vector<aws::Instance>& instances);
  void launched(Instant now, const aws::Names& ids, const aws::Names& spot);
  // Of the launch `token`, of which `told` were told, so many more may exist.
  void may_exist(Instant now, const std::string& token, std::uint32_t told, std::uint32_t more);

  std::uint32_t existing(Instant now) const;
  std::uint32_t on_demand(Instant now) const;  // of these, as far as it is known

 private:
  struct Recent {
    Instant at{};
    bool is_spot = false;
  };
  struct Unknown {
    Instant at{};
    std::uint32_t told = 0;  // or listed since
    std::uint32_t most = 0;
  };

  std::uint32_t alive_ = 0;
  std::uint32_t alive_on_demand_ = 0;
  std::map<std::string, Recent> recent_;    // by id
  std::map<std::string, Unknown> unknown_;  // by launch token
};

// What an instance is known by.
inline constexpr std::string_view kClusterTag = "skep:cluster";
inline constexpr std::string_view kManagerTag = "skep:manager";
inline constexpr std::string_view kRoleTag = "skep:role";
inline constexpr std::string_view kTokenTag = "skep:token";
inline constexpr std::string_view kWorkerRole = "worker";
// "" if it has none.
std::string launch_token_of(const aws::Instance& instance);

}  // namespace skep::provision
