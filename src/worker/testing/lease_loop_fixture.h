// SPDX-License-Identifier: Apache-2.0
// lease_loop_fixture.h - a lease loop, the answers of a manager, and a look at what the loop wants done.
//
// Threads:   one.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/lease_loop.h"

namespace skep::worker {

namespace v1 = api::v1;
using Actions = std::vector<Action>;

template <class T>
const T* find(const Actions& actions) {
  for (const auto& action : actions) {
    if (const auto* found = std::get_if<T>(&action)) return found;
  }
  return nullptr;
}

template <class T>
std::size_t count(const Actions& actions) {
  std::size_t n = 0;
  for (const auto& action : actions) n += std::holds_alternative<T>(action) ? 1 : 0;
  return n;
}

inline LoopOptions options(std::uint32_t slots = 2, std::uint32_t prefetch = 1) {
  LoopOptions out;
  out.slots = slots;
  out.prefetch = prefetch;
  return out;
}

inline v1::RegisterReply registered(std::string id = "w1") {
  v1::RegisterReply reply;
  reply.set_worker(std::move(id));
  reply.set_heartbeat_ms(2'000);
  return reply;
}

inline v1::AcquireReply leases(std::initializer_list<const char*> names) {
  v1::AcquireReply reply;
  for (const auto* name : names) reply.add_leases()->set_lease(name);
  return reply;
}

inline v1::Outcome outcome(std::string lease) {
  v1::Outcome out;
  out.set_lease(std::move(lease));
  out.set_result("r");
  return out;
}

inline v1::ReleasedLease returned(std::string lease, std::uint64_t iterations_done) {
  v1::ReleasedLease out;
  out.set_lease(std::move(lease));
  out.set_started(true);
  out.set_iterations_done(iterations_done);
  return out;
}

inline v1::CompleteReply settled(std::initializer_list<std::pair<const char*, const char*>> rows) {
  v1::CompleteReply reply;
  for (const auto& [lease, status] : rows) {
    auto& item = *reply.add_outcomes();
    item.set_lease(lease);
    item.set_status(status);
  }
  return reply;
}

inline Error down(Code code = Code::kUnavailable) {
  return fail(code, "no answer");
}

class LeaseLoopTest : public testing::Test {
 protected:
  explicit LeaseLoopTest(LoopOptions o = options()) : loop(o, Random(1), now) {}

  // Registered, with the first long-poll under way and the first heartbeat answered.
  Actions begin() {
    loop.tick(now);
    Actions actions = loop.on_registered(now, registered());
    EXPECT_TRUE(loop.on_heartbeat(now, v1::HeartbeatReply{}).empty());
    return actions;
  }
  Actions later(Duration by) {
    now += by;
    return loop.tick(now);
  }
  // Ticks as wanted until something is returned.
  Actions next() {
    Actions actions;
    while (actions.empty()) {
      EXPECT_NE(loop.wake_at(), kNever);
      now = std::max(now, loop.wake_at());
      actions = loop.tick(now);
    }
    return actions;
  }

  Instant now = from_unix_ms(1'000'000);
  LeaseLoop loop;
};

}  // namespace skep::worker
