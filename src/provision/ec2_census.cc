// SPDX-License-Identifier: Apache-2.0
#include "provision/ec2_census.h"

#include <algorithm>

namespace skep::provision {

std::string launch_token_of(const aws::Instance& instance) {
  const auto found = instance.tags.find(std::string(kTokenTag));
  return found == instance.tags.end() ? std::string() : found->second;
}

void Ec2Census::listed(Instant now, const std::vector<aws::Instance>& instances) {
  alive_ = alive_on_demand_ = 0;
  std::map<std::string, std::uint32_t> of_launch;
  for (const aws::Instance& instance : instances) {
    recent_.erase(instance.id);
    ++of_launch[launch_token_of(instance)];
    if (instance.state == "terminated") continue;
    ++alive_;
    if (!instance.is_spot) ++alive_on_demand_;
  }
  std::erase_if(recent_, [now](const auto& item) { return now - item.second.at > kShownBy; });
  for (auto& [token, unknown] : unknown_) unknown.told = std::max(unknown.told, of_launch[token]);
  std::erase_if(unknown_, [now](const auto& item) {
    return now - item.second.at > kShownBy || item.second.told >= item.second.most;
  });
}

void Ec2Census::launched(Instant now, const aws::Names& ids, const aws::Names& spot) {
  for (const std::string& id : ids)
    recent_[id] = {now, std::find(spot.begin(), spot.end(), id) != spot.end()};
}

void Ec2Census::may_exist(Instant now, const std::string& token, std::uint32_t told, std::uint32_t more) {
  if (more > 0) unknown_[token] = {now, told, told + more};
}

std::uint32_t Ec2Census::existing(Instant now) const {
  std::uint32_t count = alive_;
  for (const auto& [id, recent] : recent_) count += now - recent.at <= kShownBy ? 1 : 0;
  for (const auto& [token, unknown] : unknown_)
    count += now - unknown.at <= kShownBy ? unknown.most - unknown.told : 0;
  return count;
}

std::uint32_t Ec2Census::on_demand(Instant now) const {
  std::uint32_t count = alive_on_demand_;
  for (const auto& [id, recent] : recent_) count += now - recent.at <= kShownBy && !recent.is_spot ? 1 : 0;
  return count;
}

}  // namespace skep::provision
