// SPDX-License-Identifier: Apache-2.0
// A stop signal is seen by looking and by waiting, from any thread, until it is cleared.
#include "worker/stop_signal.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace skep::worker {
namespace {

TEST(StopSignal, IsRaisedUntilItIsCleared) {
  StopSignal stop;
  EXPECT_FALSE(stop.is_raised());
  stop.raise();
  stop.raise();
  EXPECT_TRUE(stop.is_raised());
  EXPECT_TRUE(stop.is_raised());
  stop.clear();
  EXPECT_FALSE(stop.is_raised());
  stop.clear();
  EXPECT_FALSE(stop.is_raised());
}

TEST(StopSignal, WakesWhoeverWaitsForItsDescriptor) {
  StopSignal stop;
  std::thread other([&] { stop.raise(); });
  pollfd state{stop.descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&state, 1, 60'000), 1);
  other.join();
  EXPECT_TRUE(stop.is_raised());
}

}  // namespace
}  // namespace skep::worker
