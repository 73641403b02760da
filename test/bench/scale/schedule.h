// SPDX-License-Identifier: Apache-2.0
// schedule.h - when the tasks of an open load arrive, from a seed.
//
// Threads:   value.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace skep::bench {

enum class Spacing : std::uint8_t { kConstant, kPoisson };

// `count` instants in their order, the first one at zero, `rate` a second.
std::vector<Duration> schedule(Spacing spacing, double rate, std::size_t count, Random random);

}  // namespace skep::bench
