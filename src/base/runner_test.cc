// SPDX-License-Identifier: Apache-2.0
// A Runner keeps order, keeps timers, and ends cleanly. Time is a clock that the test moves; waiting is by
// futures.
#include "base/runner.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace skep {
namespace {

class ManualClock final : public Clock {
 public:
  Instant now() const override { return Instant(Duration(now_.load())); }
  void advance(Duration by) { now_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_ = seconds(1000) / Duration(1);
};

// Runs `work` on the runner and waits for its end.
template <class F>
void run_on(Runner& runner, F work) {
  std::promise<void> done;
  runner.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

// Moves the clock and lets the runner see it.
void advance(Runner& runner, ManualClock& clock, Duration by) {
  clock.advance(by);
  // Two rounds: the timers of a round run before what was posted for it.
  run_on(runner, [] {});
  run_on(runner, [] {});
}

TEST(Runner, RunsWorkInTheOrderOfPosting) {
  ManualClock clock;
  Runner runner(clock, "test");
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) runner.post([&order, i] { order.push_back(i); });
  run_on(runner, [] {});
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Runner, NeverRunsPostedWorkInsideTheCall) {
  ManualClock clock;
  Runner runner(clock, "test");
  std::string order;
  run_on(runner, [&] {
    runner.post([&] { order += 'b'; });
    order += 'a';
  });
  run_on(runner, [] {});
  EXPECT_EQ(order, "ab");
}

TEST(Runner, TakesWorkFromManyThreads) {
  ManualClock clock;
  Runner runner(clock, "test");
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) runner.post([&count] { ++count; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  run_on(runner, [] {});
  EXPECT_EQ(count, 4000);
}

TEST(Runner, NamesItsThread) {
  ManualClock clock;
  Runner runner(clock, "a-name-longer-than-fifteen");
  std::array<char, 16> name{};
  run_on(runner, [&] { pthread_getname_np(pthread_self(), name.data(), name.size()); });
  EXPECT_STREQ(name.data(), "a-name-longer-t");
}

TEST(Runner, RunsTimersWhenTheClockReachesThemEarliestFirst) {
  ManualClock clock;
  Runner runner(clock, "test");
  std::string order;
  run_on(runner, [&] {
    runner.post_at(runner.now() + seconds(2), [&] { order += 'c'; });
    runner.post_at(runner.now() + seconds(1), [&] { order += 'a'; });
    runner.post_at(runner.now() + seconds(1), [&] { order += 'b'; });
  });
  advance(runner, clock, milliseconds(999));
  EXPECT_EQ(order, "");
  advance(runner, clock, milliseconds(1));
  EXPECT_EQ(order, "ab");
  advance(runner, clock, seconds(10));
  EXPECT_EQ(order, "abc");
}

TEST(Runner, WakesByItselfForATimer) {
  const SystemClock clock;
  Runner runner(clock, "test");
  std::promise<Instant> ran;
  Instant due{};
  run_on(runner, [&] {
    due = runner.now() + milliseconds(20);
    runner.post_at(due, [&] { ran.set_value(runner.now()); });
  });
  EXPECT_GE(ran.get_future().get(), due);
}

TEST(Runner, CancelledTimerNeverRunsAndFreesItsWorkAtOnce) {
  ManualClock clock;
  Runner runner(clock, "test");
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  bool has_run = false;
  run_on(runner, [&] {
    const TimerId timer =
        runner.post_at(runner.now() + seconds(1), [&, kept = std::move(held)] { has_run = true; });
    runner.cancel(timer);
    EXPECT_TRUE(watch.expired());
    runner.cancel(timer);
    runner.cancel(0);
    runner.cancel(12345);
  });
  advance(runner, clock, seconds(5));
  EXPECT_FALSE(has_run);
}

TEST(Runner, TimerMayCancelAnotherThatIsAlsoDue) {
  ManualClock clock;
  Runner runner(clock, "test");
  bool has_run = false;
  TimerId second = 0;
  run_on(runner, [&] {
    runner.post_at(runner.now() + seconds(1), [&] { runner.cancel(second); });
    second = runner.post_at(runner.now() + seconds(1), [&] { has_run = true; });
  });
  advance(runner, clock, seconds(1));
  EXPECT_FALSE(has_run);
}

TEST(Runner, SurvivesManyCancelledTimersAndKeepsTheLiveOnes) {
  ManualClock clock;
  Runner runner(clock, "test");
  int ran = 0;
  run_on(runner, [&] {
    std::vector<TimerId> cancelled;
    for (int i = 0; i < 10'000; ++i) {
      const TimerId timer = runner.post_at(runner.now() + seconds(i % 100 + 1), [&ran] { ++ran; });
      if (i % 100 != 0) cancelled.push_back(timer);
    }
    for (const TimerId timer : cancelled) runner.cancel(timer);
  });
  advance(runner, clock, seconds(200));
  EXPECT_EQ(ran, 100);
}

TEST(Runner, TimerThatSetsItselfAgainDoesNotKeepPostedWorkFromRunning) {
  ManualClock clock;
  Runner runner(clock, "test");
  int rounds = 0;
  UniqueFunction<void()> again = [&] {
    ++rounds;
    runner.post_at(kNoInstant, [&] { again(); });
  };
  run_on(runner, [&] { again(); });
  advance(runner, clock, seconds(1));
  runner.stop();
  EXPECT_GT(rounds, 1);
}

TEST(Runner, NeverIsNoTimer) {
  ManualClock clock;
  Runner runner(clock, "test");
  run_on(runner, [&] { EXPECT_EQ(runner.post_at(kNever, [] {}), 0u); });
}

TEST(Runner, StopRunsWhatWasPostedAndDropsTimersThatAreNotDue) {
  ManualClock clock;
  Runner runner(clock, "test");
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  int ran = 0;
  run_on(runner,
         [&] { runner.post_at(runner.now() + seconds(1), [&ran, kept = std::move(held)] { ran += 1000; }); });
  for (int i = 0; i < 100; ++i) runner.post([&ran] { ++ran; });
  runner.stop();
  EXPECT_EQ(ran, 100);
  EXPECT_TRUE(watch.expired());
}

TEST(Runner, WorkGivenAfterStopIsDestroyedUnrun) {
  ManualClock clock;
  Runner runner(clock, "test");
  runner.stop();
  runner.stop();
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  bool has_run = false;
  runner.post([&, kept = std::move(held)] { has_run = true; });
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(runner.post_at(runner.now(), [&] { has_run = true; }), 0u);
  runner.cancel(1);
  EXPECT_FALSE(has_run);
}

TEST(RunnerDeathTest, TimerCallFromAForeignThreadAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const SystemClock clock;
  EXPECT_DEATH(
      {
        Runner runner(clock, "test");
        run_on(runner, [] {});
        runner.post_at(runner.now(), [] {});
      },
      "only for code that runs on the executor");
}

}  // namespace
}  // namespace skep
