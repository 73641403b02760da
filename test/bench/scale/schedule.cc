// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <cmath>

namespace skep::bench {

std::vector<Duration> schedule(Spacing spacing, double rate, std::size_t count, Random random) {
  std::vector<Duration> offsets;
  offsets.reserve(count);
  double at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (spacing == Spacing::kConstant) at = static_cast<double>(i) / rate;  // no error that adds up
    offsets.push_back(Duration(std::llround(at * 1e9)));
    if (spacing == Spacing::kPoisson) at -= std::log1p(-random.unit()) / rate;
  }
  return offsets;
}

}  // namespace skep::bench
