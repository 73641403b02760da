// SPDX-License-Identifier: Apache-2.0
#include "sim/checker.h"

#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {

void Checker::broken(std::string sentence) {
  world_.verdict.broken(name(), std::move(sentence));
}

std::vector<std::unique_ptr<Checker>> make_checkers(World& world) {
  std::vector<std::unique_ptr<Checker>> all;
  all.push_back(make_task_checker(world));  // first: it ties ids to intents
  all.push_back(make_result_checker(world));
  all.push_back(make_delivery_checker(world));
  all.push_back(make_key_checker(world));
  all.push_back(make_fence_checker(world));
  all.push_back(make_ownership_checker(world));
  all.push_back(make_lease_checker(world));
  all.push_back(make_budget_checker(world));
  all.push_back(make_checkpoint_checker(world));
  all.push_back(make_drain_checker(world));
  all.push_back(make_detection_checker(world));
  all.push_back(make_fleet_checker(world));
  all.push_back(make_wait_checker(world));
  all.push_back(make_liveness_checker(world));
  return all;
}

}  // namespace skep::sim
