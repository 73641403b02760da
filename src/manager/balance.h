// SPDX-License-Identifier: Apache-2.0
// balance.h - which workers of this manager should go on at a sibling, so that all have about as many. Pure.
//
// Each manager decides for its own workers alone, from what the siblings last said: the same counts, the same
// shares. Who has more than the even share gives, in proportion to what is missing elsewhere, so that several
// that give at once do not give too much.
//
// Threads:   value.
// Cost:      by managers, not by workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace skep::manager {

struct WorkerCount {
  std::string address;
  std::uint32_t workers = 0;
};

// How many of `here` workers go to which sibling, now. At most an eighth of them, and one where that is less:
// workers of a manager that is back come to it over some seconds. Nothing once all have within one of each
// other.
std::vector<WorkerCount> plan_moves(std::uint32_t here, const std::vector<WorkerCount>& siblings,
                                    Random& random);

}  // namespace skep::manager
