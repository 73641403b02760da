// SPDX-License-Identifier: Apache-2.0
// Goal: a simulated process stops, goes on and dies as a real one. Method: work posted to it on virtual time.
#include "sim/process.h"

#include <gtest/gtest.h>

#include <string>

namespace skep::sim {
namespace {

class ProcessTest : public ::testing::Test {
 protected:
  void at(Duration when, const std::string& what) {
    process->post_at(root.now() + when, [this, what] { ran += what; });
  }

  testing::VirtualExecutor root;
  std::shared_ptr<Process> process = std::make_shared<Process>(root);
  std::string ran;
};

TEST_F(ProcessTest, WhatIsDueWhileItIsStoppedRunsInOrderWhenItGoesOn) {
  at(seconds(1), "a");
  at(seconds(2), "b");
  at(seconds(4), "c");
  process->stop();
  root.run_for(seconds(3));
  EXPECT_EQ(ran, "");
  process->go_on();
  root.run_ready();
  EXPECT_EQ(ran, "ab");
  root.run_for(seconds(1));
  EXPECT_EQ(ran, "abc");
}

TEST_F(ProcessTest, TimerThatCameDueWhileItWasStoppedCanStillBeCancelled) {
  const TimerId timer = process->post_at(root.now() + seconds(1), [this] { ran += "late"; });
  process->stop();
  root.run_for(seconds(2));
  process->go_on();
  process->cancel(timer);
  root.run_for(seconds(2));
  EXPECT_EQ(ran, "");
}

TEST_F(ProcessTest, NothingRunsAfterItWasKilled) {
  at(seconds(1), "a");
  process->post([this] {
    ran += "now";
    process->kill();
    process->post([this] { ran += "after"; });
  });
  root.run_for(seconds(2));
  EXPECT_EQ(ran, "now");
  EXPECT_TRUE(root.is_idle());
}

// A real one finds what others sent it before it looks which of its timers are due.
TEST_F(ProcessTest, WhatWasPostedWhileItWasStoppedMayRunBeforeItsTimers) {
  at(seconds(1), "timer");
  process->stop();
  root.run_for(seconds(2));
  process->post([this] { ran += "posted "; });
  root.run_for(seconds(1));
  process->go_on(Process::First::kPosted);
  root.run_ready();
  EXPECT_EQ(ran, "posted timer");
}

TEST(ProcessClock, ShowsItsOwnTimeAndItsTimersRunByIt) {
  testing::VirtualExecutor root;
  const auto slow = std::make_shared<Process>(root, ClockError{seconds(-2), -0.5});
  EXPECT_EQ(slow->now(), root.now() - seconds(2));
  Instant ran_at{};
  slow->post_at(slow->now() + seconds(10), [&] { ran_at = root.now(); });
  root.run_for(seconds(60));
  EXPECT_EQ(ran_at, testing::VirtualExecutor::kStart + seconds(20));
}

TEST(ProcessClock, NoTimerRunsBeforeItsClockShowsTheTime) {
  testing::VirtualExecutor root;
  const auto fast = std::make_shared<Process>(root, ClockError{milliseconds(7), 0.031});
  for (int i = 1; i <= 50; ++i) {
    const Instant wanted = fast->now() + microseconds(i * 1'237) + Duration(i);
    fast->post_at(wanted, [&fast, wanted] { EXPECT_GE(fast->now(), wanted); });
  }
  root.run_for(seconds(1));
}

}  // namespace
}  // namespace skep::sim
