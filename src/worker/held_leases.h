// SPDX-License-Identifier: Apache-2.0
// held_leases.h - the leases that a worker holds, each in one stage of its life here.
//
//     accept        start_next      finish         take_batch        forget
//     ------> waiting ---> running ---> finished <---> delivering ------> gone
//                                              put_back
//
// Only keeps books; what to do when is the lease loop's (worker/lease_loop.h).
//
// Threads:   value; one executor at a time.
// Errors:    none.
// Ownership: owns leases until they start, and outcomes until they are forgotten.
// Units:     sizes are bytes.
// Cost:      O(log n) each; forget and drop of a waiting or finished lease O(n).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/skep.pb.h"

namespace skep::worker {

// What runs a task: a lane of an engine, or a thread with a program.
enum class Pool : std::uint8_t { kLanes, kCommands };

inline Pool pool_of(const api::v1::Lease& lease) {
  return lease.kind() == "command" ? Pool::kCommands : Pool::kLanes;
}

class HeldLeases {
 public:
  enum class Stage : std::uint8_t { kWaiting, kRunning, kFinished, kDelivering };

  // Takes a lease in. False and nothing changed: it is held already, or has no name.
  bool accept(api::v1::Lease lease);

  // The lease that waits longest for this part of the worker, to be run now. Nothing if none waits.
  std::optional<api::v1::Lease> start_next(Pool pool);

  // Marks running leases as asked back from the threads and returns their names: all of them, or those alone
  // that can go on elsewhere from a checkpoint. Each is named once.
  std::vector<std::string> ask_back(bool is_resumable_only);
  bool is_asked_back(const std::string& lease) const;
  std::vector<std::string> running_leases(Pool pool) const;

  // Keeps the outcome of a running lease; what ran it. Nothing: it does not run here (any more).
  std::optional<Pool> finish(api::v1::Outcome outcome);

  // Copies of the oldest outcomes, which count as under way from now on: at most `count_max` of about
  // `bytes_max` in all, but one at least.
  std::vector<api::v1::Outcome> take_batch(std::size_t count_max, std::size_t bytes_max);
  // The delivery failed: what is under way waits again, before what finished since.
  void put_back();
  // The delivery is refused for good.
  void forget_delivering();

  std::optional<Stage> stage(const std::string& lease) const;
  // Of the trace that its task is part of; "" if there is none, or the lease is not held.
  std::string_view trace_id(const std::string& lease) const;
  void forget(const std::string& lease);
  // A finished lease of which the manager knows nothing any more: kept for delivery, but not listed.
  void mark_lost(const std::string& lease);

  // Forgets those of this part that came last and still wait, `count` at most, and returns their names.
  std::vector<std::string> take_newest_waiting(Pool pool, std::size_t count);
  // Forgets all that wait or run and returns their names.
  std::vector<std::string> take_waiting();
  std::vector<std::string> take_running();

  // Everything held that is not lost, for a heartbeat.
  void list(api::v1::HeartbeatRequest& request) const;

  bool is_empty() const { return held_.empty(); }
  std::uint32_t waiting(Pool pool) const { return static_cast<std::uint32_t>(part(pool).waiting.size()); }
  std::uint32_t running(Pool pool) const { return part(pool).running; }
  std::uint32_t waiting() const { return waiting(Pool::kLanes) + waiting(Pool::kCommands); }
  std::uint32_t running() const { return running(Pool::kLanes) + running(Pool::kCommands); }
  bool can_ask_back(bool is_resumable_only) const;  // would ask_back() name any
  std::uint32_t undelivered() const { return static_cast<std::uint32_t>(finished_.size()); }  // not under way
  std::uint32_t delivering() const { return static_cast<std::uint32_t>(delivering_.size()); }
  std::size_t outcome_bytes() const { return outcome_bytes_; }  // of all outcomes kept

 private:
  struct Part {
    std::deque<std::string> waiting;  // oldest first
    std::uint32_t running = 0;
  };
  struct Held {
    Stage stage = Stage::kWaiting;
    Pool pool = Pool::kLanes;
    bool is_lost = false;
    bool can_resume = false;  // its checkpoint is wanted
    bool is_asked_back = false;
    bool is_returnable(bool is_resumable_only) const;
    std::string trace_id;
    api::v1::Lease lease;      // while it waits
    api::v1::Outcome outcome;  // once it finished
  };

  const Part& part(Pool pool) const { return parts_[static_cast<std::size_t>(pool)]; }
  Part& part(Pool pool) { return parts_[static_cast<std::size_t>(pool)]; }

  std::map<std::string, Held> held_;
  std::array<Part, 2> parts_;            // by Pool
  std::deque<std::string> finished_;     // oldest first
  std::vector<std::string> delivering_;  // in the order of finishing
  std::size_t outcome_bytes_ = 0;
};

}  // namespace skep::worker
