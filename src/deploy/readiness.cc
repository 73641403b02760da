// SPDX-License-Identifier: Apache-2.0
#include "deploy/readiness.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace skep::deploy {
namespace {

std::set<std::string> zones_of(const std::vector<aws::Subnet>& subnets) {
  std::set<std::string> zones;
  for (const aws::Subnet& subnet : subnets) zones.insert(subnet.zone);
  return zones;
}

template <class Range>
std::string joined(const Range& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string_view judgement_name(Judgement judgement) {
  switch (judgement) {
    case Judgement::kGood:
      return "good";
    case Judgement::kProblem:
      return "problem";
    case Judgement::kUnknown:
      return "unknown";
  }
  return "";
}

Finding judge_error(std::string subject, const Error& error) {
  const bool is_refused = error.code == Code::kForbidden || error.code == Code::kUnauthenticated ||
                          error.code == Code::kInvalid || error.code == Code::kNotFound ||
                          error.code == Code::kExhausted;
  return {std::move(subject), is_refused ? Judgement::kProblem : Judgement::kUnknown, error.message};
}

Finding judge_clock(Duration skew) {
  if (skew == Duration::zero()) return {"clock", Judgement::kGood, "within what AWS allows"};
  const bool is_behind = skew > Duration::zero();
  return {"clock", Judgement::kProblem,
          "this machine's clock is " + describe_duration(is_behind ? skew : -skew) +
              (is_behind ? " behind" : " ahead") +
              " of AWS's; calls are corrected for it, certificates and logs are not: let it be set from the "
              "network"};
}

Finding judge_network(const FleetWish& wish, const std::vector<aws::Subnet>& subnets) {
  const std::string vpc = wish.vpc.empty() ? "the default VPC" : wish.vpc;
  if (subnets.empty()) return {"network", Judgement::kProblem, vpc + " has no subnets"};
  const auto zones = zones_of(subnets);
  int addresses = 0;
  for (const aws::Subnet& subnet : subnets) addresses += subnet.free_addresses;
  const int needed = wish.managers + wish.workers_max;
  if (addresses < needed) {
    return {"network", Judgement::kProblem,
            vpc + " has " + std::to_string(addresses) + " free addresses, the fleet needs " +
                std::to_string(needed) + ": add a subnet, or want fewer instances"};
  }
  if (wish.managers > 1 && zones.size() < 2) {
    return {"network", Judgement::kProblem,
            vpc + " has subnets in zone " + joined(zones) +
                " alone, where all managers would end with it: add a subnet in another zone"};
  }
  return {"network", Judgement::kGood, vpc + " has subnets in " + joined(zones)};
}

Finding judge_offer(const std::string& type, const aws::Names& offered,
                    const std::vector<aws::Subnet>& subnets) {
  std::set<std::string> here;
  for (const std::string& zone : zones_of(subnets)) {
    if (std::count(offered.begin(), offered.end(), zone) > 0) here.insert(zone);
  }
  const std::string subject = "type " + type;
  if (offered.empty())
    return {subject, Judgement::kProblem, "the region does not offer it: choose another type"};
  if (here.empty()) {
    return {subject, Judgement::kProblem,
            "it is offered in " + joined(offered) + " alone, where the VPC has no subnet"};
  }
  return {subject, Judgement::kGood, "offered in " + joined(here)};
}

Finding judge_quota(std::string subject, int vcpus_needed, double vcpus_allowed) {
  const std::string allowed = std::to_string(std::llround(vcpus_allowed));
  const std::string needed = std::to_string(vcpus_needed);
  if (vcpus_allowed < vcpus_needed) {
    return {std::move(subject), Judgement::kProblem,
            "the account may run " + allowed + " vCPUs of this kind, the fleet takes up to " + needed +
                ": ask for more in Service Quotas, or want fewer workers"};
  }
  return {std::move(subject), Judgement::kGood, "up to " + needed + " of " + allowed + " vCPUs"};
}

std::string architecture_of(const std::string& type) {
  const std::string family = type.substr(0, type.find('.'));
  const std::size_t digit = family.find_first_of("0123456789");
  const bool is_arm = digit != std::string::npos && family.find('g', digit) != std::string::npos;
  return is_arm ? "arm64" : "amd64";
}

}  // namespace skep::deploy
