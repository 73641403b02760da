// SPDX-License-Identifier: Apache-2.0
#include "worker/stop_signal.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstdint>

#include "base/check.h"

namespace skep::worker {

StopSignal::StopSignal() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SKEP_CHECK(event_.is_open(), "no file descriptors left at start");
}

void StopSignal::raise() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(event_.number(), &one, sizeof one);
}

void StopSignal::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = read(event_.number(), &count, sizeof count);
}

bool StopSignal::is_raised() const {
  pollfd state{event_.number(), POLLIN, 0};
  return poll(&state, 1, 0) == 1;
}

}  // namespace skep::worker
