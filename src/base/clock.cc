// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

namespace skep {
namespace {

Duration read_clock(clockid_t id) {
  timespec value{};
  clock_gettime(id, &value);
  return seconds(value.tv_sec) + Duration(value.tv_nsec);
}

}  // namespace

SystemClock::SystemClock() : offset_(read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME)) {}

Instant SystemClock::now() const {
  return Instant(read_clock(CLOCK_BOOTTIME) + offset_);
}

}  // namespace skep
