// SPDX-License-Identifier: Apache-2.0
// readiness.h - what facts about an account of AWS mean for the fleet that it is to hold. Pure.
//
// Threads:   any thread; values in, values out.
// Units:     vCPUs, as EC2 counts them.
#pragma once

#include <string>
#include <vector>

#include "aws/ec2.h"

namespace skep::deploy {

// The fleet that is wanted.
struct FleetWish {
  int managers = 2;
  std::string manager_type = "c6i.large";
  std::vector<std::string> worker_types{"c6i.large"};
  int workers_max = 10;
  bool is_spot = false;  // the workers
  std::string vpc;       // id; "" is the region's default one
};

enum class Judgement { kGood, kProblem, kUnknown };

std::string_view judgement_name(Judgement judgement);  // "good", "problem", "unknown"

struct Finding {
  std::string subject;  // "credentials", "clock", ...
  Judgement judgement = Judgement::kUnknown;
  std::string text;  // a sentence: what is so, and for a problem what to do
};

// `error` as a finding: refused is a problem, anything else leaves it open.
Finding judge_error(std::string subject, const Error& error);

// `skew`: how far AWS's clock is ahead; 0 is within what it allows.
Finding judge_clock(Duration skew);

// The subnets of the VPC. Managers are spread over zones, and every instance takes an address.
Finding judge_network(const FleetWish& wish, const std::vector<aws::Subnet>& subnets);

// Where a type is offered, of the zones that the subnets lie in.
Finding judge_offer(const std::string& type, const aws::Names& offered,
                    const std::vector<aws::Subnet>& subnets);

// What a fleet needs at its largest, of what the account may run. What runs there already is not counted.
Finding judge_quota(std::string subject, int vcpus_needed, double vcpus_allowed);

// "arm64" or "amd64", as Debian names it, by the type's name: c7g, c6gn and t4g are Graviton's.
std::string architecture_of(const std::string& type);

}  // namespace skep::deploy
