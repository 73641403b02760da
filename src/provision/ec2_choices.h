// SPDX-License-Identifier: Apache-2.0
// ec2_choices.h - as which type and in which subnet instances may be asked for, and what EC2 refused of late.
//
// Pure: what EC2 said comes in with the time, and is remembered for as long as it is likely to hold: a lack
// of capacity for a type in a zone for 2 min, a quota for 1 min (for all types that count for it and are as
// large), a type that a zone does not have for 6 h.
//
// Threads:   value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace skep::provision {

enum class Market : std::uint8_t { kOnDemand, kSpot };

struct Ec2Choice {
  std::string type;
  std::string subnet;
  bool operator==(const Ec2Choice&) const = default;
};

class Ec2Choices {
 public:
  // Types by preference. No choice is made twice where a name is given twice.
  Ec2Choices(std::vector<std::string> types, std::vector<std::string> subnets);

  // Against which nothing is known at `now`, best first: the types in their order, each in all subnets, of
  // which `turn` says the first, so that launches spread over the zones.
  std::vector<Ec2Choice> open(Instant now, Market market, std::size_t turn) const;
  // The place of a type among those given.
  int rank(std::string_view type) const;

  // EC2 gave nothing for the choice, with this error code. A code that says nothing against it is ignored.
  void refused(Instant now, Market market, const Ec2Choice& choice, const std::string& code);
  // The fleet call can not be used, as EC2 says: not before `until`.
  void avoid_fleet(Instant until) { fleet_from_ = until; }
  bool may_use_fleet(Instant now) const { return now >= fleet_from_; }

  // Why open() has nothing, one sentence; "" if it has something.
  std::string why_none(Instant now, Market market) const;

 private:
  struct Closed {
    std::optional<Market> market;  // nothing: both
    std::string type;              // "": all
    std::string subnet;            // "": all
    std::string code;
    Instant until{};
    bool is_of_kind = false;  // also types that count for the same quota and are as large
  };
  const Closed* closed_by(Instant now, Market market, const Ec2Choice& choice) const;

  std::vector<std::string> types_;
  std::vector<std::string> subnets_;
  std::vector<Closed> closed_;
  Instant fleet_from_ = kNoInstant;
};

// A quota of the account is reached, as an error code says.
bool is_quota(std::string_view code);
// What is said of a refusal: the code, and what a person can do about it.
std::string describe_refusal(const std::string& code, const std::string& type);

// "x86_64" or "arm64", by the type's name: c7g, c6gn and t4g are Graviton's.
std::string_view architecture_of(std::string_view type);

}  // namespace skep::provision
