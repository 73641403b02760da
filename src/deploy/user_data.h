// SPDX-License-Identifier: Apache-2.0
// user_data.h - the script that an instance of a cluster runs at its first boot. Pure.
//
// It waits for what may come late (its volume, parameters, a role that is not known everywhere yet) by asking
// again, and holds no secret: those it fetches from the parameters.
//
// Threads:   any thread; values in, values out. The same input gives the same text.
// Units:     sizes are bytes.
#pragma once

#include <string>

#include "deploy/cluster.h"

namespace skep::deploy {

inline constexpr std::size_t kUserDataMax = 4096;

// Mounts the volume of its slot (formatted only if it has no file system), imports the tokens, and starts the
// manager once the parameter with all managers' addresses has its own.
std::string manager_user_data(const ClusterWish& wish, const Names& names, const aws::Names& subnets,
                              int slot);

// Starts a worker, whose end shuts the machine down. So does a boot that comes to nothing.
std::string worker_user_data(const ClusterWish& wish, const Names& names, const std::string& architecture);

}  // namespace skep::deploy
