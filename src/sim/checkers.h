// SPDX-License-Identifier: Apache-2.0
// checkers.h - the invariants, one maker for each; each stands in its own file, checker_*.cc.
//
// Threads:   one executor at a time.
#pragma once

#include <memory>

#include "sim/checker.h"

namespace skep::sim {

std::unique_ptr<Checker> make_task_checker(World& world);
std::unique_ptr<Checker> make_result_checker(World& world);
std::unique_ptr<Checker> make_delivery_checker(World& world);
std::unique_ptr<Checker> make_key_checker(World& world);
std::unique_ptr<Checker> make_fence_checker(World& world);
std::unique_ptr<Checker> make_ownership_checker(World& world);
std::unique_ptr<Checker> make_lease_checker(World& world);
std::unique_ptr<Checker> make_budget_checker(World& world);
std::unique_ptr<Checker> make_checkpoint_checker(World& world);
std::unique_ptr<Checker> make_drain_checker(World& world);
std::unique_ptr<Checker> make_detection_checker(World& world);
std::unique_ptr<Checker> make_fleet_checker(World& world);
std::unique_ptr<Checker> make_wait_checker(World& world);
std::unique_ptr<Checker> make_liveness_checker(World& world);

}  // namespace skep::sim
