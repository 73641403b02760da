// SPDX-License-Identifier: Apache-2.0
// Signals are delivered to wait() and to nothing else; interrupt() wakes it without one.
#include "base/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

namespace skep {
namespace {

TEST(SignalWaiter, WaitReturnsTheSignalThatWasSentBefore) {
  SignalWaiter waiter({SIGUSR1, SIGUSR2});
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(waiter.wait(), SIGUSR2);
}

TEST(SignalWaiter, WaitReturnsASignalSentWhileItWaits) {
  SignalWaiter waiter({SIGUSR1});
  std::thread sender([] { kill(getpid(), SIGUSR1); });
  EXPECT_EQ(waiter.wait(), SIGUSR1);
  sender.join();
}

TEST(SignalWaiter, EachInterruptEndsOneWait) {
  SignalWaiter waiter({SIGUSR1});
  waiter.interrupt();
  waiter.interrupt();
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(waiter.wait(), 0);
  auto third = std::async(std::launch::async, [&waiter] { return waiter.wait(); });
  waiter.interrupt();
  EXPECT_EQ(third.get(), 0);
}

TEST(SignalWaiter, AWaitWithPatienceEndsWithTheSignalOrWithoutOne) {
  SignalWaiter waiter({SIGUSR1});
  EXPECT_EQ(waiter.wait_for(Duration::zero()), std::nullopt);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(waiter.wait_for(hours(1)), SIGUSR1);
  waiter.interrupt();
  EXPECT_EQ(waiter.wait_for(hours(24 * 365)), 0);
}

TEST(SignalWaiter, PutsTheMaskBack) {
  { const SignalWaiter waiter({SIGUSR1}); }
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
}

TEST(IgnoreBrokenPipes, WritingWithoutAReaderIsAnError) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  ignore_broken_pipes();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  close(ends[1]);
  std::signal(SIGPIPE, before);
}

TEST(KeepEndedChildren, TheEndOfAChildIsTold) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  keep_ended_children();
  const pid_t child = fork();
  if (child == 0) _exit(7);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  std::signal(SIGCHLD, before);
}

TEST(ResetSignalsInChild, ChildDiesOfASignalThatItsParentBlocks) {
  const SignalWaiter waiter({SIGTERM});
  const pid_t child = fork();
  if (child == 0) {
    reset_signals_in_child();
    kill(getpid(), SIGTERM);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

}  // namespace
}  // namespace skep
