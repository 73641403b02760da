// SPDX-License-Identifier: Apache-2.0
// policy.h - what each role of a cluster may do, and what who deploys one must be allowed: policies of IAM.
// Pure.
//
// Threads:   any thread; values in, values out. The same input gives the same text.
#pragma once

#include <string>

#include "deploy/cluster.h"

namespace skep::deploy {

// The inline policy of the role, a JSON document. A manager: launches of this cluster's workers, with their
// role alone, ends of instances that carry its tag, its parameters. A worker: its own parameters and the
// package.
std::string role_policy(Part part, const Names& names);

// The least that `skep aws up`, `status` and `down` need, for all clusters of an account or one. "*" for what
// is not known. A JSON document, indented.
std::string deployer_policy(const Names& names);

}  // namespace skep::deploy
