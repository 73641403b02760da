// SPDX-License-Identifier: Apache-2.0
// objective.h - how long tasks of one queue may wait, and its share of the leases.
//
// Threads:   value and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace skep::scaler {

inline constexpr std::size_t kObjectivesMax = 32;
inline constexpr std::uint32_t kObjectiveWeightMax = 100;

struct QueueObjective {
  std::string queue;
  Duration target_wait = seconds(30);
  // Leases that it gets in its turn, where a queue without an objective gets one.
  std::uint32_t weight = 1;

  bool operator==(const QueueObjective&) const = default;
};

// "NAME=WAIT" or "NAME=WAIT:WEIGHT", as in "urgent=5s:4". kInvalid with a sentence: another form, no name of
// a queue, a wait that is not above 0, a weight that is not from 1 to kObjectiveWeightMax.
Result<QueueObjective> parse_objective(std::string_view text);
// Of several. kInvalid also for a queue that is named twice, and for more than kObjectivesMax.
Result<std::vector<QueueObjective>> parse_objectives(const std::vector<std::string>& texts);

}  // namespace skep::scaler
