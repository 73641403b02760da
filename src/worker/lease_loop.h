// SPDX-License-Identifier: Apache-2.0
// lease_loop.h - what a worker does next, as a pure state machine.
//
// Holds the leases of one worker and decides when to register, acquire, start, complete, heartbeat, hand back and
// exit. It never touches a socket, a thread or a clock: the shell (worker/worker.cc, or the simulator) carries out the
// returned actions and reports what came of them. Bodies pass through it untouched.
//
// The life of a lease here: waiting (prefetched) -> running -> finished (result waits for delivery) -> gone.
//
// Threads:   one executor at a time.
// Errors:    none: every answer of a manager, also a nonsensical one, is an input.
// Units:     base/time.h types.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/skep.pb.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

namespace skep::worker {

struct LoopOptions {
  std::uint32_t slots = 1;                 // tasks computed at once
  std::uint32_t prefetch = 1;              // tasks that wait here beside them
  Duration acquire_wait = seconds(30);     // of the long-poll
  Duration heartbeat = seconds(2);         // until the manager says otherwise
  Duration retry_first = milliseconds(100);  // back-off between failed calls: full jitter, doubling
  Duration retry_max = seconds(5);
  Duration orphan_timeout = minutes(10);   // no manager answered for so long: exit
  Duration drain_timeout = seconds(20);    // draining: what does not finish in this time is handed back
  std::uint32_t complete_max = 256;        // outcomes in one call
};

// What the shell is asked to do. At most one Register, Acquire, Complete and Heartbeat is under way at a time.
struct DoRegister {};
struct DoAcquire {
  std::uint32_t max = 0;
  Duration wait{};
};
struct DoStart {
  api::v1::Lease lease;
};
struct DoStop {  // abort the running task; no on_finished is expected, and one that comes is ignored
  std::string lease;
};
struct DoComplete {
  std::vector<api::v1::Outcome> outcomes;
};
struct DoRelease {
  std::vector<api::v1::ReleasedLease> leases;
};
struct DoHeartbeat {
  api::v1::HeartbeatRequest request;
};
struct DoCancelAcquire {};  // abandon the long-poll under way; on_acquired may still come, with leases or an error
struct DoNextManager {};    // the current one does not answer: use another for the calls to come
struct DoExit {
  int code = 0;
  std::string reason;
};
using Action =
    std::variant<DoRegister, DoAcquire, DoStart, DoStop, DoComplete, DoRelease, DoHeartbeat, DoCancelAcquire, DoNextManager, DoExit>;

// Why a drain began.
enum class DrainCause : std::uint8_t { kSignal, kOrder, kSpotNotice };

class LeaseLoop {
 public:
  LeaseLoop(LoopOptions options, Random random, Instant now);

  // Each input returns what to do now, in this order. `wake_at` says when tick() is wanted next.
  std::vector<Action> tick(Instant now);
  std::vector<Action> on_registered(Instant now, Result<api::v1::RegisterReply> reply);
  std::vector<Action> on_acquired(Instant now, Result<api::v1::AcquireReply> reply);
  std::vector<Action> on_finished(Instant now, api::v1::Outcome outcome);  // a started task ended
  std::vector<Action> on_completed(Instant now, Result<api::v1::CompleteReply> reply);
  std::vector<Action> on_released(Instant now, Result<api::v1::ReleaseReply> reply);
  std::vector<Action> on_heartbeat(Instant now, Result<api::v1::HeartbeatReply> reply);
  std::vector<Action> drain(Instant now, DrainCause cause);

  Instant wake_at() const;

  const std::string& worker_id() const;  // "" until registered
  std::uint32_t running() const;
  std::uint32_t waiting() const;
  std::uint32_t finished() const;  // results that no manager has acknowledged yet
  bool is_draining() const;

 private:
  // (the implementer's)
};

}  // namespace skep::worker
