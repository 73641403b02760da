// SPDX-License-Identifier: Apache-2.0
// doctor.h - looks whether an account of AWS can hold a fleet of skep, without making anything.
//
// Threads:   one thread at a time; a look blocks for its calls.
// Errors:    none: what can not be learned is a finding.
// Ownership: borrows its client.
#pragma once

#include <functional>

#include "deploy/readiness.h"

namespace skep::deploy {

class Doctor {
 public:
  using Show = std::function<void(const Finding&)>;

  Doctor(aws::Client& client, FleetWish wish) : client_(client), wish_(std::move(wish)) {}

  // Looks at one thing after the other and shows each finding as it is there. Without valid credentials
  // nothing else is asked. The number of problems.
  int look(const Show& show);

 private:
  void look_at_network(const Show& show);
  void look_at_types(const Show& show);
  void look_at_image(const Show& show);
  void look_at_quotas(const Show& show);
  void look_at_permissions(const Show& show);
  Result<std::string> find_vpc();
  aws::CallOptions soon() const;

  aws::Client& client_;
  FleetWish wish_;
  std::string vpc_;
  std::vector<aws::Subnet> subnets_;
  std::string image_;
};

}  // namespace skep::deploy
