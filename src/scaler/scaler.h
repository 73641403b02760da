// SPDX-License-Identifier: Apache-2.0
// scaler.h - the loop that sizes the fleet: observe, decide, reconcile, act, remember.
//
// A provisioner that answers late or never does not stop it: decisions go on with the last list, and a launch
// whose outcome is not told counts as one that may have happened. Until the first list nothing is launched.
//
// Threads:   everything on the one executor given; the provisioner replies there too.
// Ownership: borrows executor, provisioner and fleet, which must outlive it. Replies that come after its end
//            are ignored.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "scaler/policy.h"
#include "scaler/provisioner.h"
#include "scaler/reconciler.h"

namespace skep::scaler {

// What the scaler sees of the manager and asks of it.
class Fleet {
 public:
  virtual ~Fleet() = default;
  // Fills everything but the fields about workers that boot.
  virtual Observation observe() = 0;
  virtual std::vector<WorkerSeen> workers() = 0;
  virtual void drain_worker(const std::string& worker) = 0;
  virtual void forget_worker(const std::string& worker, const std::string& reason) = 0;
};

// One decision with its inputs. Kept in a ring; the same observation gives the same outcome.
struct LedgerEntry {
  Instant at{};
  Observation seen;
  Decision decision;
  FleetCounts counts;
  std::vector<Action> actions;  // empty: nothing had to be done
};

struct ScalerOptions {
  Bounds bounds;
  ReconcilerOptions reconciler;
  Duration tick = milliseconds(500);
  Duration reply_timeout = seconds(30);  // of the provisioner
  std::size_t ledger_max = 1'000;
};

class Scaler {
 public:
  Scaler(Executor& executor, Fleet& fleet, Provisioner& provisioner, std::unique_ptr<Policy> policy,
         ScalerOptions options, std::string launch_prefix, Logger log);
  ~Scaler();
  Scaler(const Scaler&) = delete;
  Scaler& operator=(const Scaler&) = delete;

  void start();
  // Something changed (tasks arrived at an idle fleet, a worker registered or left): decide soon, not at the
  // tick. May be called at any rate.
  void poke();
  // No more launches; then drains every worker that the provisioner lists and terminates those that do not go
  // by `deadline`. `done` runs once, when all are gone or a little after the deadline.
  void stop(Instant deadline, UniqueFunction<void()> done);

  const Bounds& bounds() const;
  FleetCounts counts() const;
  std::uint32_t wanted() const;
  // Newest last. Entries that only repeat the one before are folded into it.
  const std::deque<LedgerEntry>& ledger() const;
  // "2 workers are wanted and 2 run, because ...": the last decision in words.
  std::string explain() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::scaler
