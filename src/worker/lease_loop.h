// SPDX-License-Identifier: Apache-2.0
// lease_loop.h - what a worker does next, as a pure state machine.
//
// Holds the leases of one worker and decides when to register, acquire, start, complete, heartbeat, hand back
// and exit. It never touches a socket, a thread or a clock: the shell (worker/worker.cc, or the simulator)
// carries out the returned actions and reports what came of them. Bodies pass through it untouched.
//
// The life of a lease here: waiting (prefetched) -> running -> finished (result waits for delivery) -> gone.
//
// A result is kept until a manager took it or refused it for good; a lease that a manager lost is stopped,
// but a result that is already there is offered all the same: it is taken if the task is not done (the first
// success wins).
//
// Threads:   one executor at a time.
// Errors:    none: every answer of a manager, also a nonsensical one, is an input.
// Units:     base/time.h types.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/skep.pb.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "worker/held_leases.h"

namespace skep::worker {

struct LoopOptions {
  std::uint32_t slots = 1;     // sha512 tasks computed at once
  std::uint32_t ahead = 0;     // given to the threads beyond the slots, so that a lane that becomes free is
                               // refilled without asking
  std::uint32_t commands = 0;  // tasks of kind command run at once
  std::uint32_t prefetch = 1;  // tasks that are here beyond slots and commands, at most: as many as were
                               // finished in kPrefetchFor, so that long tasks are left to other workers
  // Bodies of what is prefetched: fewer tasks where they are large. About, as their mean decides.
  std::size_t prefetch_bytes = std::size_t{64} << 20;
  Duration acquire_wait = seconds(30);       // of the long-poll
  Duration heartbeat = seconds(2);           // until the manager says otherwise
  Duration retry_first = milliseconds(100);  // back-off between failed calls: full jitter, doubling
  Duration retry_max = seconds(5);
  Duration orphan_timeout = minutes(10);  // no manager answered for so long: exit
  Duration drain_timeout = seconds(20);  // draining: what does not finish in this time is handed back, or let
                                         // go if no manager answers
  // The same where the machine is taken away 2 min after its notice.
  Duration notice_timeout = seconds(90);
  std::uint32_t complete_max = 256;  // outcomes in one call
  // Draining: what can go on elsewhere from a checkpoint is handed back after this. What ends by itself in so
  // short a time costs nobody a second lease.
  Duration resume_grace = milliseconds(50);
};

// What the shell is asked to do. At most one Register, Complete, Release and Heartbeat, and one Acquire for
// each pool, is under way at a time.
struct DoRegister {};
struct DoAcquire {
  Pool pool = Pool::kLanes;  // whose tasks are wanted
  std::uint32_t max = 0;
  Duration wait{};
};
struct DoStart {
  api::v1::Lease lease;
};
struct DoStop {  // abort the running task; no on_finished is expected, and one that comes is ignored
  std::string lease;
};
struct DoHandBack {  // stop it and call on_handed_back, unless it finishes first
  std::string lease;
  bool is_only_if_waiting = false;  // no lane has it yet; else leave it alone, and no call is expected
};
struct DoComplete {
  std::vector<api::v1::Outcome> outcomes;
};
struct DoRelease {
  std::vector<api::v1::ReleasedLease> leases;
};
struct DoHeartbeat {
  api::v1::HeartbeatRequest request;  // a long-poll: the answer may take wait_ms and what it is on its way
};
struct DoCancelAcquire {
};  // abandon the long-polls under way; on_acquired may still come for each, with leases or an error
struct DoNextManager {};  // the current one does not answer: use another for the calls to come
struct DoMoveTo {         // the same, since another one is wanted
  std::string manager;    // HOST:PORT
};
struct DoTakeLeave {  // where it moved from: that manager may forget it
  std::string worker;
};
struct DoExit {
  int code = 0;
  std::string reason;
};
using Action = std::variant<DoRegister, DoAcquire, DoStart, DoStop, DoHandBack, DoComplete, DoRelease,
                            DoHeartbeat, DoCancelAcquire, DoNextManager, DoMoveTo, DoTakeLeave, DoExit>;

// Why a drain began.
enum class DrainCause : std::uint8_t { kSignal, kOrder, kSpotNotice };

class LeaseLoop {
 public:
  LeaseLoop(LoopOptions options, Random random, Instant now);

  // Each input returns what to do now, in this order. `wake_at` says when tick() is wanted next. The first
  // tick() begins; after DoExit nothing more is returned.
  std::vector<Action> tick(Instant now);
  std::vector<Action> on_registered(Instant now, Result<api::v1::RegisterReply> reply);
  std::vector<Action> on_acquired(Instant now, Result<api::v1::AcquireReply> reply, Pool pool = Pool::kLanes);
  std::vector<Action> on_finished(Instant now, api::v1::Outcome outcome);  // a started task ended
  // The answer to DoHandBack: whether it was started and how far it came.
  std::vector<Action> on_handed_back(Instant now, api::v1::ReleasedLease lease);
  std::vector<Action> on_completed(Instant now, Result<api::v1::CompleteReply> reply);
  std::vector<Action> on_released(Instant now, Result<api::v1::ReleaseReply> reply);
  std::vector<Action> on_heartbeat(Instant now, Result<api::v1::HeartbeatReply> reply);
  // Goes on at another manager with all that it holds: registers there, heartbeats, and then leaves the one
  // before. Nothing while it drains or is not registered. A manager asks for the same by a heartbeat's
  // answer.
  std::vector<Action> move(Instant now, const std::string& manager);
  // Finish or hand back, then exit. The second kSignal, or the first one after an order to drain, hands back
  // at once what still runs; the one after it exits at once.
  std::vector<Action> drain(Instant now, DrainCause cause);
  // What the machine was told of its future, in words: the manager learns it with the next heartbeat, or when
  // this leaves.
  void note(std::string notice) { notice_ = std::move(notice); }

  Instant wake_at() const { return wake_at_; }

  const std::string& worker_id() const { return worker_id_; }  // "" until registered
  // Of a lease that is held; "" if its task is part of no trace.
  std::string_view trace_id(const std::string& lease) const { return held_.trace_id(lease); }
  std::uint32_t running() const { return held_.running(); }
  std::uint32_t waiting() const { return held_.waiting(); }
  // Results that no manager has acknowledged yet.
  std::uint32_t finished() const { return held_.undelivered() + held_.delivering(); }
  bool is_draining() const { return drain_cause_.has_value(); }

 private:
  using Actions = std::vector<Action>;

  // One kind of call: at most one of it is under way.
  struct Call {
    bool is_under_way = false;
    Instant sent_at{};
    Instant not_before{};
    Duration back_off{};             // of the next failure, before jitter; zero after a success
    std::uint64_t manager = 0;       // what manager_ was when it was sent
    std::uint64_t registration = 0;  // what registration_ was
  };

  // What every input ends with: does all that can be done at `now`.
  Actions proceed(Instant now, Actions actions);
  void start_waiting(Actions& actions);
  void send_register(Instant now, Actions& actions);
  void send_heartbeat(Instant now, Actions& actions);
  void send_complete(Instant now, Actions& actions);
  void send_release(Instant now, Actions& actions);
  void send_acquire(Instant now, Actions& actions);
  // Leases that there is room for.
  std::uint32_t wanted(Pool pool, Instant now) const;
  std::uint32_t beyond_places(Pool pool) const;
  Call& acquire(Pool pool) { return acquires_[static_cast<std::size_t>(pool)]; }
  bool is_acquiring() const { return acquires_[0].is_under_way || acquires_[1].is_under_way; }
  std::uint32_t prefetch_now(Pool pool, Instant now) const;
  std::uint32_t places(Pool pool) const { return pool == Pool::kLanes ? options_.slots : options_.commands; }
  Instant next_wake(Instant now) const;

  bool can_send(const Call& call, Instant now) const;
  void sent(Call& call, Instant now);
  void succeeded(Call& call, Instant now);
  void failed(Call& call, const Error& error, Instant now, Actions& actions);
  void back_off(Call& call, Instant now);

  void accept(api::v1::AcquireReply reply);
  void hand_back_surplus(Pool pool, Instant now);
  void settle(const api::v1::CompleteReply& reply, Instant now);
  void lose(const std::string& lease, Actions& actions);
  void cancel(const std::string& lease, Actions& actions);

  void begin_move(Instant now, const std::string& manager, Actions& actions);
  void begin_drain(Instant now, DrainCause cause, Actions& actions);
  Duration drain_patience() const;
  void ask_back(bool is_resumable_only, Actions& actions);
  bool is_drained(Instant now) const;
  // Until when a draining worker waits for a manager to answer: there may be none any more to hand anything
  // to.
  Instant forsaken_at() const;
  void exit(int code, std::string reason, Actions& actions);

  const LoopOptions options_;
  Random random_;
  Instant wake_at_;

  std::string worker_id_;
  bool is_registered_ = false;      // and no manager has said otherwise since
  std::uint64_t registration_ = 0;  // counts registrations
  std::string left_;                // its id where it moved from, until the next manager knows what it holds
  std::uint64_t manager_ = 0;       // counts DoNextManager
  Duration heartbeat_interval_;
  Instant answered_at_;  // when a manager last answered

  HeldLeases held_;
  std::map<std::string, api::v1::ReleasedLease> releasing_;  // to be handed back
  std::vector<std::string> released_;                        // of these, the ones in the call under way
  std::uint32_t batch_max_;  // outcomes in the next call; small while one is to be found out

  struct Pace {
    double finished = 0;  // tasks of late: fades with kPrefetchMemory
    Instant at{};
    double body_bytes = 0;  // of a task, about the mean of the last sixteen
  };
  std::array<Pace, 2> paces_;  // by Pool

  Call register_;
  std::array<Call, 2> acquires_;  // by Pool
  Call complete_;
  Call release_;
  Call heartbeat_;

  std::string notice_;
  std::optional<DrainCause> drain_cause_;
  int drain_signals_ = 0;
  Instant drain_began_{};
  bool is_over_ = false;  // DoExit was returned
};

}  // namespace skep::worker
