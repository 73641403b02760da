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
  LeaseLoopWithLanes() : LeaseLoopTest(with_lanes()) {}

  v1::AcquireReply many(std::size_t number, const std::string& kind) {
    v1::AcquireReply reply;
    for (std::size_t i = 0; i < number; ++i) {
      auto& lease = *reply.add_leases();
      lease.set_lease(kind + std::to_string(next_++));
      lease.set_kind(kind);
    }
    return reply;
  }

 private:
  std::size_t next_ = 0;
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
  loop.on_acquired(now, many(34, "sha512"));
  std::size_t number = 0;
  std::uint32_t asked = 0;
  for (int round = 0; round < 20; ++round) {
    // All of them finish within a millisecond, while a call for more is under way.
    now += milliseconds(1);
    while (loop.running() > 0) loop.on_finished(now, outcome("sha512" + std::to_string(number++)));
    v1::CompleteReply all;
    for (std::size_t i = 0; i < number; ++i) {
      auto& row = *all.add_outcomes();
      row.set_lease("sha512" + std::to_string(i));
      row.set_status("ok");
    }
    while (loop.finished() > 0) loop.on_completed(now, all);
    const auto actions = loop.on_acquired(now, many(1, "sha512"));
    ASSERT_TRUE(find<DoAcquire>(actions)) << round;
    EXPECT_GE(find<DoAcquire>(actions)->max, asked);
    asked = find<DoAcquire>(actions)->max;
    loop.on_acquired(now, many(asked, "sha512"));
  }
  EXPECT_EQ(asked, 32u + 128u - 1u);
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
