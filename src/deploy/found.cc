// SPDX-License-Identifier: Apache-2.0
#include "deploy/found.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace skep::deploy {

bool Found::has_parameter(const std::string& name) const {
  return std::find(parameters.begin(), parameters.end(), name) != parameters.end();
}

const aws::Template* Found::find_template(const std::string& name) const {
  for (const aws::Template& one : templates) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

aws::Names Ground::subnet_ids() const {
  aws::Names ids;
  for (const aws::Subnet& subnet : subnets) ids.push_back(subnet.id);
  return ids;
}

std::size_t Ground::zones() const {
  std::set<std::string> zones;
  for (const aws::Subnet& subnet : subnets) zones.insert(subnet.zone);
  return zones.size();
}

int slot_of(const aws::Tags& tags) {
  const auto found = tags.find(kSlotTag);
  int slot = 0;
  if (found != tags.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), slot);
  return slot;
}

bool is_manager(const aws::Instance& instance) {
  const auto found = instance.tags.find(kRoleTag);
  return found != instance.tags.end() && found->second == part_name(Part::kManager);
}

bool is_alive(const aws::Instance& instance) {
  return instance.state != "terminated" && instance.state != "shutting-down";
}

}  // namespace skep::deploy
