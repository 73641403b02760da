// SPDX-License-Identifier: Apache-2.0
// fake_lead.h - a leadership that is where a test puts it.
//
// Threads:   one thread.
#pragma once

#include <string>
#include <vector>

#include "scaler/leadership.h"

namespace skep::scaler::testing {

class FakeLead final : public Leadership {
 public:
  bool leads = false;
  std::vector<FleetPart> parts;  // of siblings, where it leads
  std::vector<std::uint32_t> given;
  Decision told;
  FleetRole role() override { return leads ? FleetRole::kLeads : FleetRole::kFollows; }
  std::string reason() override { return ""; }
  bool has_siblings() override { return true; }
  std::vector<FleetPart> siblings() override { return parts; }
  void give(const std::vector<std::uint32_t>& shares, const Decision& decision) override {
    given = shares;
    told = decision;
  }
  LeaderOrder order() override { return {}; }
};

}  // namespace skep::scaler::testing
