// SPDX-License-Identifier: Apache-2.0
// The lease loop of a worker that computes in lanes: what it asks for, and what it leaves to others.
// Method: inputs in, actions out; time is an argument.
#include "worker/testing/lease_loop_fixture.h"

namespace skep::worker {
namespace {

LoopOptions with_lanes() {
  LoopOptions out = options(32, 128);
  out.ahead = 32;
  out.commands = 2;
  return out;
}

class LeaseLoopWithLanes : public LeaseLoopTest {
 protected:
  explicit LeaseLoopWithLanes(LoopOptions o = with_lanes()) : LeaseLoopTest(o) {}

  v1::AcquireReply many(std::size_t number, const std::string& kind) {
    v1::AcquireReply reply;
    first_of_last_ = kind + std::to_string(next_);
    for (std::size_t i = 0; i < number; ++i) {
      auto& lease = *reply.add_leases();
      lease.set_lease(kind + std::to_string(next_++));
      lease.set_kind(kind);
      lease.set_body(body);
    }
    return reply;
  }

  // All that is here ends within a millisecond, while a call for more is under way; what is asked for then.
  std::uint32_t end_all() {
    now += milliseconds(1);
    while (loop.running() > 0) loop.on_finished(now, outcome("sha512" + std::to_string(ended_++)));
    v1::CompleteReply all;
    for (std::size_t i = 0; i < ended_; ++i) {
      auto& row = *all.add_outcomes();
      row.set_lease("sha512" + std::to_string(i));
      row.set_status("ok");
    }
    while (loop.finished() > 0) loop.on_completed(now, all);
    const auto actions = loop.on_acquired(now, many(1, "sha512"));
    return find<DoAcquire>(actions) ? find<DoAcquire>(actions)->max : 0;
  }
  // What the call under way asks for after many short tasks.
  std::uint32_t ask_in_a_burst() {
    std::uint32_t asked = 34;
    for (int round = 0; round < 20; ++round) {
      loop.on_acquired(now, many(asked, "sha512"));
      const std::uint32_t more = end_all();
      EXPECT_GE(more, round == 0 ? 1u : asked) << round;
      asked = more;
    }
    return asked;
  }

  std::string first_of_last_;  // lease of the last answer
  std::string body;            // of every task

 private:
  std::size_t next_ = 0;
  std::size_t ended_ = 0;
};

LoopOptions with_few_bytes() {
  LoopOptions out = with_lanes();
  out.prefetch_bytes = 1 << 20;
  return out;
}

class LeaseLoopWithFewBytes : public LeaseLoopWithLanes {
 protected:
  LeaseLoopWithFewBytes() : LeaseLoopWithLanes(with_few_bytes()) {}
};

TEST_F(LeaseLoopWithLanes, FirstAsksForItsLanesAndLittleMore) {
  const auto actions = begin();
  ASSERT_EQ(count<DoAcquire>(actions), 2u);
  EXPECT_EQ(find<DoAcquire>(actions)->pool, Pool::kLanes);
  EXPECT_EQ(find<DoAcquire>(actions)->max, 34u);
  const auto& other = std::get<DoAcquire>(actions.back());
  EXPECT_EQ(other.pool, Pool::kCommands);
  EXPECT_EQ(other.max, 3u);
}

TEST_F(LeaseLoopWithLanes, LongTasksAreNotHoarded) {
  begin();
  loop.on_acquired(now, many(34, "sha512"));
  for (int i = 0; i < 20; ++i) {
    const auto actions = loop.on_finished(now, outcome("sha512" + std::to_string(i)));
    const auto* acquire = find<DoAcquire>(actions);
    EXPECT_LE(acquire == nullptr ? 0u : acquire->max, 6u) << i;
    now += seconds(10);
    loop.on_acquired(now, many(1, "sha512"));
  }
  EXPECT_LE(loop.running(), 35u);
}

TEST_F(LeaseLoopWithLanes, ShortTasksAreFetchedAheadUpToThePrefetch) {
  begin();
  EXPECT_EQ(ask_in_a_burst(), 32u + 128u - 1u);
}

TEST_F(LeaseLoopWithLanes, LateAnswerToAHungryCallIsNotHoarded) {
  begin();
  const std::uint32_t asked = ask_in_a_burst();
  ASSERT_EQ(asked, 159u);
  ASSERT_EQ(loop.running(), 1u);
  now += seconds(10);
  const auto actions = loop.on_acquired(now, many(asked, "sha512"));
  EXPECT_EQ(loop.running(), 34u);  // the lanes and what is kept of long tasks
  EXPECT_EQ(loop.waiting(), 0u);
  ASSERT_TRUE(find<DoRelease>(actions));
  const auto& released = find<DoRelease>(actions)->leases;
  EXPECT_EQ(released.size(), asked - 33u);
  for (const auto& lease : released) EXPECT_FALSE(lease.started());
  // The oldest stay, as the manager gave them in its order.
  EXPECT_EQ(std::get<DoStart>(actions.front()).lease.lease(), first_of_last_);
  // No more is asked for, and nothing is handed back twice.
  EXPECT_FALSE(find<DoAcquire>(actions));
  EXPECT_FALSE(find<DoRelease>(loop.on_released(now, v1::ReleaseReply{})));
}

TEST_F(LeaseLoopWithLanes, AnswerAtOnceToAHungryCallIsKept) {
  begin();
  const std::uint32_t asked = ask_in_a_burst();
  now += milliseconds(20);
  const auto actions = loop.on_acquired(now, many(asked, "sha512"));
  EXPECT_FALSE(find<DoRelease>(actions));
  EXPECT_EQ(loop.running() + loop.waiting(), asked + 1);
}

TEST_F(LeaseLoopWithFewBytes, LargeBodiesAreFetchedAheadByTheirBytes) {
  begin();
  body.assign(20 << 10, 'x');
  EXPECT_EQ(ask_in_a_burst(), 32u + 51u - 1u);
}

TEST_F(LeaseLoopWithFewBytes, BodiesThatAreTooManyBytesGoBack) {
  begin();
  const std::uint32_t asked = ask_in_a_burst();  // small ones
  ASSERT_EQ(asked, 159u);
  body.assign(100 << 10, 'x');
  const auto actions = loop.on_acquired(now, many(asked, "sha512"));
  EXPECT_EQ(loop.running() + loop.waiting(), 32u + 10u);
  ASSERT_TRUE(find<DoRelease>(actions));
  EXPECT_EQ(find<DoRelease>(actions)->leases.size(), 160u - 42u);
}

TEST_F(LeaseLoopWithLanes, BurstOfHashesDoesNotHoardCommands) {
  begin();
  loop.on_acquired(now, many(34, "sha512"));
  for (int i = 0; i < 34; ++i) loop.on_finished(now, outcome("sha512" + std::to_string(i)));
  const auto actions = loop.on_acquired(now, v1::AcquireReply{}, Pool::kCommands);
  const auto more = later(milliseconds(200));  // an empty answer that came soon is paid with a pause
  for (const auto& all : {actions, more}) {
    for (const auto& action : all) {
      const auto* acquire = std::get_if<DoAcquire>(&action);
      const bool is_for_commands = acquire != nullptr && acquire->pool == Pool::kCommands;
      EXPECT_TRUE(!is_for_commands || acquire->max == 3u);
    }
  }
}

TEST_F(LeaseLoopWithLanes, CommandsAreAskedForApart) {
  begin();
  auto actions = loop.on_acquired(now, many(4, "command"), Pool::kCommands);
  EXPECT_EQ(count<DoStart>(actions), 2u);
  EXPECT_FALSE(find<DoAcquire>(actions));
  // The lanes' long-poll is another call, and full lanes do not hold up commands.
  EXPECT_EQ(count<DoStart>(loop.on_acquired(now, many(34, "sha512"))), 34u);
  loop.on_acquired(now, v1::AcquireReply{});  // and lets the lanes' call wait before the next
  actions = loop.on_finished(now, outcome("command0"));
  EXPECT_EQ(count<DoStart>(actions), 1u);
  ASSERT_TRUE(find<DoAcquire>(actions));
  EXPECT_EQ(find<DoAcquire>(actions)->pool, Pool::kCommands);
}

TEST_F(LeaseLoopWithLanes, DrainTakesBackAtOnceWhatHasNoLane) {
  begin();
  loop.on_acquired(now, many(34, "sha512"));
  const auto actions = loop.drain(now, DrainCause::kSignal);
  EXPECT_EQ(count<DoHandBack>(actions), 34u);  // the threads know which of them have no lane
  ASSERT_TRUE(find<DoHandBack>(actions));
  EXPECT_TRUE(find<DoHandBack>(actions)->is_only_if_waiting);
  v1::ReleasedLease waiting;
  waiting.set_lease("sha51233");
  const auto released = loop.on_handed_back(now, waiting);
  ASSERT_TRUE(find<DoRelease>(released));
  EXPECT_FALSE(find<DoRelease>(released)->leases[0].started());
  // The others run on, and are asked back for good when the drain's time is over.
  EXPECT_EQ(loop.running(), 33u);
  EXPECT_EQ(count<DoHandBack>(later(seconds(20))), 33u);
}

TEST_F(LeaseLoopWithLanes, WorkerWithoutProgramsAsksForNoCommands) {
  LoopOptions none = with_lanes();
  none.commands = 0;
  LeaseLoop other(none, Random(1), now);
  other.tick(now);
  EXPECT_EQ(count<DoAcquire>(other.on_registered(now, registered())), 1u);
}

}  // namespace
}  // namespace skep::worker
