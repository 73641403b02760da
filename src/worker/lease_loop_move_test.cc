// SPDX-License-Identifier: Apache-2.0
// How a worker goes from one manager to another with all that it holds. Method: inputs in, actions out.
#include "worker/testing/lease_loop_fixture.h"

namespace skep::worker {
namespace {

v1::HeartbeatReply asks_to_move() {
  v1::HeartbeatReply reply;
  reply.set_move_to("b:2");
  return reply;
}

TEST_F(LeaseLoopTest, MovesWithAllThatItHoldsAndLeavesOnceTheNextManagerKnowsOfIt) {
  begin();
  loop.on_acquired(now, leases({"a", "b", "c"}));
  EXPECT_TRUE(find<DoHeartbeat>(later(seconds(2))));
  auto actions = loop.on_heartbeat(now, asks_to_move());
  ASSERT_TRUE(find<DoMoveTo>(actions));
  EXPECT_EQ(find<DoMoveTo>(actions)->manager, "b:2");
  EXPECT_TRUE(find<DoRegister>(actions));
  EXPECT_EQ(count<DoStop>(actions) + count<DoAcquire>(actions) + count<DoTakeLeave>(actions), 0u);
  actions = loop.on_registered(now, registered("w2"));
  ASSERT_TRUE(find<DoHeartbeat>(actions));
  EXPECT_EQ(find<DoHeartbeat>(actions)->request.leases_size(), 3);
  EXPECT_FALSE(find<DoTakeLeave>(actions));
  actions = loop.on_heartbeat(now, v1::HeartbeatReply{});
  ASSERT_TRUE(find<DoTakeLeave>(actions));
  EXPECT_EQ(find<DoTakeLeave>(actions)->worker, "w1");
  EXPECT_EQ(loop.running(), 2u);
  later(seconds(2));
  EXPECT_FALSE(find<DoTakeLeave>(loop.on_heartbeat(now, v1::HeartbeatReply{})));
}

TEST_F(LeaseLoopTest, ACallThatFailsWhereItMovedFromDoesNotSendItOn) {
  begin();
  ASSERT_TRUE(find<DoMoveTo>(loop.move(now, "b:2")));
  EXPECT_FALSE(find<DoMoveTo>(loop.move(now, "c:3"))) << "one move at a time";
  EXPECT_FALSE(find<DoNextManager>(loop.on_acquired(now, down())));
  const auto actions = loop.on_registered(now, down());
  EXPECT_TRUE(find<DoNextManager>(actions)) << "the next one is not there after all";
}

TEST_F(LeaseLoopTest, WhoDrainsDoesNotMove) {
  begin();
  loop.on_acquired(now, leases({"a"}));
  loop.drain(now, DrainCause::kOrder);
  EXPECT_FALSE(find<DoMoveTo>(loop.move(now, "b:2")));
}

}  // namespace
}  // namespace skep::worker
