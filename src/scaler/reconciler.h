// SPDX-License-Identifier: Apache-2.0
// reconciler.h - compares what is wanted, what the provisioner lists and what the manager hears, and says what to do.
//
// Pure: (wanted, listed instances, workers heard from, now) -> actions, each with its reason. Started but never heard
// from within the boot timeout: terminated and counted as a boot failure, with back-off when they repeat. Heard from
// no more, or gone from the list: its place is free at once and the manager is told. Listed but unknown: adopted if it
// reports, else terminated after the boot timeout. Never more than workers_max exist, counting all that may exist.
//
// Threads:   one executor at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "scaler/provisioner.h"

namespace skep::scaler {

// A worker as the manager's registry knows it.
struct WorkerSeen {
  std::string worker;    // its id
  std::string instance;  // its token; "" if it was started by hand: counted, never terminated
  bool is_draining = false;
  bool is_lost = false;  // silent for longer than the worker timeout
  std::uint32_t leases = 0;
  Instant heard_at{};
  Instant idle_since{};  // kNoInstant while it has leases
};

struct ReconcilerOptions {
  Duration boot_timeout = seconds(30);
  Duration drain_timeout = seconds(30);  // draining longer than this: terminated
  Duration backoff_first = seconds(1);   // after a boot failure
  Duration backoff_max = minutes(1);
  std::uint32_t launches_at_once_max = 16;
};

enum class ActionKind : std::uint8_t {
  kLaunch,     // `count` instances
  kDrain,      // ask worker `worker` to finish and exit
  kTerminate,  // instance `instance`
  kForget,     // worker `worker` is gone: give its leases back at once
};

struct Action {
  ActionKind kind = ActionKind::kLaunch;
  std::uint32_t count = 0;
  std::string worker;
  std::string instance;  // the provisioner's id
  std::string reason;    // one sentence
};

struct FleetCounts {
  std::uint32_t running = 0;   // heard from, not draining
  std::uint32_t booting = 0;
  std::uint32_t draining = 0;
  std::uint64_t started = 0;   // since construction
  std::uint64_t stopped = 0;
  std::uint64_t boot_failures = 0;
  std::uint64_t crashed = 0;   // went away without being asked
};

class Reconciler {
 public:
  explicit Reconciler(ReconcilerOptions options);

  // What to do so that `wanted` workers run. Call after each list(), each decision, and each change.
  std::vector<Action> reconcile(Instant now, std::uint32_t wanted, std::uint32_t workers_max,
                                const std::vector<Instance>& listed, const std::vector<WorkerSeen>& workers);

  // What came of a launch of `count`.
  void on_launched(Instant now, std::uint32_t count, const LaunchReply& reply);

  FleetCounts counts() const;
  // For each booting instance, when it is expected; by the learned boot time.
  std::vector<Instant> booting_ready_at() const;
  Duration learned_boot() const;
  Instant wake_at() const;  // when reconcile() is wanted at the latest

 private:
  // (the implementer's)
};

}  // namespace skep::scaler
