// SPDX-License-Identifier: Apache-2.0
// scaler.h - the loop that sizes the fleet: observe, decide, reconcile, act, remember.
//
// A provisioner that answers late or never does not stop it: decisions go on with the last list, and a launch
// whose outcome is not told counts as one that may have happened. Until the first list nothing is launched,
// nor, where lists are late (Provisioner::list_lag), until one shows all that others launched before.
// What keeps it from acting is tried again with growing pauses, for ever, and said: in problem(), and in the
// log when it begins, every five minutes, and when it ends.
//
// Where managers share the work (scaler/leadership.h), the leader's decides for the whole and shares that
// out; the others keep their share of it, each of its own provisioner.
//
// Threads:   everything on the one executor given; the provisioner replies there too.
// Ownership: borrows executor, provisioner and fleet, which must outlive it. Replies that come after its end
//            are ignored.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "scaler/cost_ledger.h"
#include "scaler/leadership.h"
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

// Who or what set the size.
enum class SizeRule : std::uint8_t {
  kPolicy,  // by what waits and arrives
  kOrder,   // of a person
  kShare,   // of the manager that leads the fleet
  kNobody,  // it is not known who leads: everybody keeps what there is
  kLetGo,   // this manager stops
};
std::string_view rule_name(SizeRule rule);

// One decision with its inputs. Kept in a ring.
struct LedgerEntry {
  Instant at{};
  SizeRule rule = SizeRule::kPolicy;
  Observation seen;
  Bounds bounds;
  Decision decision;
  FleetCounts counts;
  std::vector<Action> actions;  // empty: nothing had to be done
  // The policy as it was before; null where it did not decide, and in all but the newest kReplayableMax.
  std::shared_ptr<const Policy> policy;
};
inline constexpr std::size_t kReplayableMax = 100;

// What the policy makes of the same inputs again; nothing where there is no policy.
std::optional<Decision> replay(const LedgerEntry& entry);

// What was done since the start.
struct ActionTotals {
  std::uint64_t decisions = 0;  // that entered the ledger
  std::uint64_t launches = 0;   // of any number of instances
  std::uint64_t drains = 0;
  std::uint64_t terminations = 0;
  std::uint64_t forgotten = 0;  // workers that were gone
};

// What was last decided, and on what: of the whole fleet at the leader, of this manager's part elsewhere.
struct FleetState {
  FleetRole role = FleetRole::kAlone;
  std::string leader;        // HOST:PORT where another leads; "" else
  std::uint32_t wanted = 0;  // workers; where another leads: in all, as it said last
  Bounds bounds;
  FleetCounts counts;
  std::vector<QueueLoad> loads;  // by queue, where some have objectives of their own; the rest is the last
  std::vector<FleetPart> parts;  // the first is this manager's
};

struct ScalerOptions {
  Bounds bounds;
  std::string address;  // of this manager, HOST:PORT
  ReconcilerOptions reconciler;
  Duration tick = milliseconds(500);
  Duration reply_timeout = seconds(30);  // of the provisioner
  std::size_t ledger_max = 1'000;
  bool is_dry_run = false;  // it decides and says so, and does nothing; leases of lost workers still go back
};

class Scaler {
 public:
  // `leadership`, borrowed: null where this manager is alone.
  Scaler(Executor& executor, Fleet& fleet, Provisioner& provisioner, std::unique_ptr<Policy> policy,
         ScalerOptions options, std::string launch_prefix, Logger log, Leadership* leadership = nullptr);
  ~Scaler();
  Scaler(const Scaler&) = delete;
  Scaler& operator=(const Scaler&) = delete;

  void start();
  // Something changed (tasks arrived at an idle fleet, a worker registered or left): decide soon, not at the
  // tick. May be called at any rate.
  void poke();
  // No more launches; then drains every worker that the provisioner lists and terminates those that do not go
  // by `deadline`. `done` runs once, when all are gone or a little after the deadline. Instances of a
  // cluster-wide provisioner are left as they are: to a sibling, or to this manager's next life.
  void stop(Instant deadline, UniqueFunction<void()> done);

  // What the store has: a person's order, until it ends or another one comes, and what was spent this month.
  void know(const FleetRecord& record);
  // Where spending is added to what the store has, about each minute; before start. `done` after know() was
  // told the new sum.
  using KeepSpending = std::function<void(SpendingPart part, UniqueFunction<void(Result<void>)> done)>;
  void on_spending(KeepSpending keep);
  // A worker on that instance (WorkerSeen.instance) has ended an attempt, after `run` seconds of a slot.
  void attempt_ended(const std::string& instance, const TaskId& id, const TaskSpec& spec, double run);
  const CostLedger& costs() const;
  double spent_month() const;
  const std::string& month() const;  // "2026-11"; "" before the first decision

  const Bounds& bounds() const;
  bool is_dry_run() const;
  const FleetOrder& order() const;
  // Why it can not do what it wants, one sentence; "" if it can.
  const std::string& problem() const;
  Instant problem_since() const;  // of the present or the last one
  FleetCounts counts() const;     // of this manager's part
  std::uint32_t wanted() const;
  FleetState state() const;
  // This manager's part of the fleet, as it is now.
  FleetPart part();
  // Newest last. Entries that only repeat the one before are folded into it.
  const std::deque<LedgerEntry>& ledger() const;
  const ActionTotals& action_totals() const;
  // "2 workers are wanted and 2 run, because ...": the last decision in words.
  std::string explain() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::scaler
