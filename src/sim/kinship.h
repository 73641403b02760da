// SPDX-License-Identifier: Apache-2.0
// kinship.h - what a manager has beside its service where others share its store.
//
// Threads:   one thread.
// Ownership: owned by a life (sim/cluster.h), which takes it apart in order.
#pragma once

#include <memory>

#include "base/metrics.h"
#include "manager/cluster_fleet.h"
#include "manager/forwarder.h"
#include "manager/live.h"
#include "manager/routes.h"
#include "manager/token_guard.h"

namespace skep::sim {

struct Kinship {
  std::unique_ptr<manager::SiblingCalls> calls;
  std::unique_ptr<manager::Forwarder> forwarder;
  std::unique_ptr<manager::ClusterFleet> fleet;
  std::unique_ptr<manager::Live> live;
  std::unique_ptr<manager::TokenGuard> guard;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<manager::Routes> routes;
};

}  // namespace skep::sim
