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

}  // namespace
}  // namespace skep::sim
