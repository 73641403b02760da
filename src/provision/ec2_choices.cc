// SPDX-License-Identifier: Apache-2.0
#include "provision/ec2_choices.h"

#include <algorithm>
#include <utility>

#include "aws/vcpu_quota.h"

namespace skep::provision {
namespace {

enum class Scope : std::uint8_t { kNone, kSubnet, kPlace, kPlaceAndMarket, kTypeAndMarket, kKindAndMarket };

struct Rule {
  std::string_view part;  // of the error code
  Scope scope = Scope::kNone;
  Duration hold{};
};

// The first whose part is in the code counts.
constexpr Rule kRules[] = {
    {"RequestLimitExceeded", Scope::kNone, {}},
    {"UnsupportedOperation", Scope::kNone, {}},
    {"InsufficientFreeAddresses", Scope::kSubnet, minutes(2)},
    {"Unsupported", Scope::kPlace, hours(6)},
    {"Insufficient", Scope::kPlaceAndMarket, minutes(2)},
    {"UnfulfillableCapacity", Scope::kPlaceAndMarket, minutes(2)},
    {"SpotMaxPriceTooLow", Scope::kPlaceAndMarket, minutes(2)},
    {"VcpuLimitExceeded", Scope::kKindAndMarket, minutes(1)},
    {"MaxSpotInstanceCountExceeded", Scope::kKindAndMarket, minutes(1)},
    {"LimitExceeded", Scope::kTypeAndMarket, minutes(1)},
};

const Rule* rule_for(std::string_view code) {
  for (const Rule& rule : kRules) {
    if (code.find(rule.part) != std::string_view::npos) return &rule;
  }
  return nullptr;
}

// EC2 has no vCPUs left for `refused`, and so none for a type of the same quota that is as large.
bool shares_quota(const std::string& refused, const std::string& type) {
  const aws::VcpuQuota* quota = aws::vcpu_quota_of(refused);
  return quota != nullptr && quota == aws::vcpu_quota_of(type) &&
         aws::vcpus_by_name(type) >= aws::vcpus_by_name(refused);
}

std::vector<std::string> each_once(std::vector<std::string> names) {
  std::vector<std::string> once;
  for (std::string& name : names) {
    if (std::find(once.begin(), once.end(), name) == once.end()) once.push_back(std::move(name));
  }
  return once;
}

}  // namespace

Ec2Choices::Ec2Choices(std::vector<std::string> types, std::vector<std::string> subnets)
    : types_(each_once(std::move(types))), subnets_(each_once(std::move(subnets))) {}

std::vector<Ec2Choice> Ec2Choices::open(Instant now, Market market, std::size_t turn) const {
  std::vector<Ec2Choice> found;
  for (const std::string& type : types_) {
    for (std::size_t i = 0; i < subnets_.size(); ++i) {
      Ec2Choice choice{type, subnets_[(i + turn) % subnets_.size()]};
      if (closed_by(now, market, choice) == nullptr) found.push_back(std::move(choice));
    }
  }
  return found;
}

int Ec2Choices::rank(std::string_view type) const {
  return static_cast<int>(std::find(types_.begin(), types_.end(), type) - types_.begin());
}

void Ec2Choices::refused(Instant now, Market market, const Ec2Choice& choice, const std::string& code) {
  std::erase_if(closed_, [now](const Closed& one) { return one.until <= now; });
  const Rule* rule = rule_for(code);
  if (rule == nullptr || rule->scope == Scope::kNone || choice.type.empty() || choice.subnet.empty()) return;
  Closed closed{market, choice.type, choice.subnet, code, add_saturated(now, rule->hold)};
  if (rule->scope == Scope::kSubnet) closed.type.clear();
  if (rule->scope == Scope::kTypeAndMarket || rule->scope == Scope::kKindAndMarket) closed.subnet.clear();
  closed.is_of_kind = rule->scope == Scope::kKindAndMarket;
  if (rule->scope == Scope::kSubnet || rule->scope == Scope::kPlace) closed.market.reset();
  std::erase_if(closed_, [&](const Closed& one) {
    return one.market == closed.market && one.type == closed.type && one.subnet == closed.subnet;
  });
  closed_.push_back(std::move(closed));
}

const Ec2Choices::Closed* Ec2Choices::closed_by(Instant now, Market market, const Ec2Choice& choice) const {
  for (const Closed& one : closed_) {
    const bool is_meant = (!one.market || *one.market == market) &&
                          (one.type.empty() || one.type == choice.type ||
                           (one.is_of_kind && shares_quota(one.type, choice.type))) &&
                          (one.subnet.empty() || one.subnet == choice.subnet);
    if (is_meant && now < one.until) return &one;
  }
  return nullptr;
}

std::string Ec2Choices::why_none(Instant now, Market market) const {
  const Closed* first = nullptr;  // that opens again
  for (const std::string& type : types_) {
    for (const std::string& subnet : subnets_) {
      const Closed* closed = closed_by(now, market, {type, subnet});
      if (closed == nullptr) return {};
      if (first == nullptr || closed->until < first->until) first = closed;
    }
  }
  if (first == nullptr) return "no instance type, or no subnet, is given";
  return describe_refusal(first->code, first->type.empty() ? "any type" : first->type) +
         "; EC2 is asked again from " + format_instant(first->until);
}

bool is_quota(std::string_view code) {
  const Rule* rule = rule_for(code);
  return rule != nullptr && (rule->scope == Scope::kTypeAndMarket || rule->scope == Scope::kKindAndMarket);
}

std::string describe_refusal(const std::string& code, const std::string& type) {
  const Rule* rule = rule_for(code);
  const Scope scope = rule == nullptr ? Scope::kNone : rule->scope;
  switch (scope) {
    case Scope::kTypeAndMarket:
    case Scope::kKindAndMarket: {
      const aws::VcpuQuota* quota = aws::vcpu_quota_of(type);
      return "the account's quota is reached for " + type + " (" + code + "): ask AWS for a higher one" +
             (quota == nullptr ? "" : " of " + std::string(quota->name) + " instances") +
             ", or lower --max-workers";
    }
    case Scope::kSubnet:
      return "a subnet has no free addresses (" + code + "): name more with --ec2-subnets";
    case Scope::kPlace:
      return "a zone does not have " + type + " (" + code + "): name other subnets or types";
    case Scope::kPlaceAndMarket:
      return "EC2 has no capacity for " + type + " (" + code + "): name more types or subnets";
    case Scope::kNone:
      break;
  }
  return "EC2 refuses " + type + " (" + code + ")";
}

std::string_view architecture_of(std::string_view type) {
  const std::string_view family = type.substr(0, type.find('.'));
  const std::size_t digit = family.find_first_of("0123456789");
  const bool is_arm = family == "a1" ||
                      (digit != std::string_view::npos && family.find('g', digit) != std::string_view::npos);
  return is_arm ? "arm64" : "x86_64";
}

}  // namespace skep::provision
