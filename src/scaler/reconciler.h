// SPDX-License-Identifier: Apache-2.0
// reconciler.h - compares what is wanted, what the provisioner lists and what the manager hears, and says
// what to do.
//
// Pure: (wanted, listed instances, workers heard from, now) -> actions, each with its reason. Started but
// never heard from within the boot timeout: terminated and counted as a boot failure, with back-off when they
// repeat; one that does not run yet has not begun to boot. Heard from no more, or gone from the list: its
// place is free at once and the manager is told. Listed but unknown: adopted if it reports, else terminated
// after the boot timeout. Never more than workers_max exist, counting all that may exist; never more are
// launched in a minute than launches_minute_max, also in the place of what crashed.
//
// What boots is never stopped for want of work: it may be about to take some, and is drained once it runs. Of
// what runs, idle workers are drained first, of these the one idle for longest (the queue has missed it
// least), of these the newest (what has run for long has shown that it can). One that computes is drained
// only when the maximum says so, or after `busy_hold` in which none was idle. An order to drain that its
// worker does not know of is given again.
//
// Threads:   one executor at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "scaler/boot_backoff.h"
#include "scaler/boot_times.h"
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
  bool is_fit = true;    // false: it could take nothing of what waits, and holds nothing
  std::uint32_t slots = 1;
};

struct ReconcilerOptions {
  Duration boot_timeout = seconds(30);   // from when the instance runs
  Duration start_timeout = minutes(10);  // from its launch, for one that does not even run
  Duration drain_timeout = seconds(30);  // draining longer than this: terminated
  Duration backoff_first = seconds(1);   // after a boot failure
  Duration backoff_max = minutes(1);
  // After a worker that went with work in its hands: perhaps the task killed it, and the machine is fine.
  Duration crash_backoff_max = seconds(5);
  std::uint32_t launches_at_once_max = 16;
  std::uint32_t launches_minute_max = 0;  // that start something, in any minute; 0: any number
  Duration busy_hold = minutes(5);
  Duration boot = seconds(1);            // expected of a boot until the first one has taught better
  std::string launch_prefix = "launch";  // of launch tokens; unique to this reconciler for ever
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
  std::string token;     // of a launch: "<prefix>-<n>"
};

struct FleetCounts {
  std::uint32_t running = 0;  // heard from, not draining
  std::uint32_t booting = 0;
  std::uint32_t draining = 0;  // or being terminated
  // Since construction.
  std::uint64_t started = 0;
  std::uint64_t stopped = 0;
  std::uint64_t boot_failures = 0;  // not started, or not heard from
  std::uint64_t crashed = 0;        // silent, or went away without being asked

  bool operator==(const FleetCounts&) const = default;
};

class Reconciler {
 public:
  explicit Reconciler(ReconcilerOptions options);

  // Others acted meanwhile: what it knew of instances says nothing. What it learned, and a launch of its own
  // that is not answered, stay.
  void begin_anew();

  // Takes in what is there and what is heard; reconcile() begins with the same. Only needed where counts()
  // and booting_ready_at() shall be up to date before the decision. Idempotent.
  void absorb(Instant now, const std::vector<Instance>& listed, const std::vector<WorkerSeen>& workers);

  // What to do so that `wanted` workers run. Call after each list(), each decision, and each change.
  std::vector<Action> reconcile(Instant now, std::uint32_t wanted, std::uint32_t workers_max,
                                const std::vector<Instance>& listed, const std::vector<WorkerSeen>& workers);

  // The same where nothing is to be started and nothing let go: what is lost, overdue or was to go is still
  // seen to.
  std::vector<Action> tend(Instant now, const std::vector<Instance>& listed,
                           const std::vector<WorkerSeen>& workers);

  // The same at the end: nothing is launched, what runs is drained, what boots is terminated; with
  // `is_overdue` all is terminated.
  std::vector<Action> wind_down(Instant now, bool is_overdue, const std::vector<Instance>& listed,
                                const std::vector<WorkerSeen>& workers);

  // What came of a launch of `count`. Every kLaunch wants this call once; who waits no longer for the reply
  // passes kUnknownOutcome. Without `token` the oldest launch of that count is meant.
  void on_launched(Instant now, std::uint32_t count, const LaunchReply& reply, std::string_view token = {});

  // The list passed from now on was asked for at `asked_at`: what was launched later may be missing in it.
  // Without this call every list counts as asked for at the time it is passed.
  void on_listed(Instant asked_at) { listed_at_ = asked_at; }

  // As of the last call of absorb(), reconcile() or wind_down().
  FleetCounts counts() const { return totals_; }
  // For each booting instance, when it is expected: when half of the last boots of its type were up, or if
  // that has passed without it, when nine in ten were. Of a type that never came up, as all types together.
  std::vector<Instant> booting_ready_at() const;
  // What half of the last boots took at most; zero: none came up yet.
  Duration learned_boot() const { return boots_.within(0.5); }
  std::vector<TypeBoots> boots_by_type() const { return boots_.types(); }
  Instant wake_at() const { return wake_at_; }  // when reconcile() is wanted at the latest
  // How many instances of the provisioner may exist: listed, started and not yet listed, of unknown outcome.
  std::uint32_t existing() const;
  // Why fewer run than wanted and none is launched now; "" if that is not so.
  const std::string& held_because() const { return held_because_; }
  // Of these counts, as of the last call: its own instances that run or boot, those of them that are idle,
  // and workers of use that are of no instance of it.
  std::uint32_t own() const { return own_; }
  std::uint32_t own_idle() const { return own_idle_; }
  std::uint32_t others() const { return others_running_ - others_unfit_; }
  // How many more may be launched.
  std::uint32_t room(std::uint32_t workers_max) const;
  // Launches wait, or are tried one at a time, because boots failed.
  bool is_failing(Instant now) const;
  // What went wrong with the last launches, if nothing has come up since; "" if nothing did.
  std::string failing_because() const;

 private:
  static constexpr std::uint32_t kProbeAfter = 3;  // failures in a row after which one is tried at a time
  enum class Phase : std::uint8_t { kBooting, kUp, kLeft };  // kLeft: its worker signed off
  enum class Fate : std::uint8_t { kOpen, kStopped, kBootFailed, kCrashed };
  struct Known {
    Instance instance;
    Phase phase = Phase::kBooting;
    Fate fate = Fate::kOpen;   // decided before it is gone where we end it
    bool is_launched = false;  // here; else adopted
    bool was_listed = false;
    bool has_worked = false;   // it was seen with a lease
    bool was_awaited = false;  // it was known before its worker was heard from
    bool is_stuck = false;     // it says that it stops, and does not
    bool is_starting = false;  // it does not run yet
    Instant launched_at{};
    Instant boot_deadline{};
    Instant up_at = kNoInstant;
    Instant draining_since = kNoInstant;
    Instant drain_last = kNoInstant;  // asked for here
    Instant stopping_since = kNoInstant;
    Instant terminate_first = kNoInstant;
    Instant terminate_last = kNoInstant;
    const WorkerSeen* seen = nullptr;  // its worker, within one call
  };
  // A launch that is under way, or whose outcome is not known in full.
  struct Pending {
    std::string token;
    std::uint32_t asked_count = 0;
    std::uint32_t count = 0;  // that may exist beyond those seen
    Instant asked_at{};
    Instant answered_at = kNoInstant;
  };
  struct Pace {
    std::string token;
    std::uint32_t count = 0;  // that was not refused
    Instant at{};
  };
  using Tokens = std::multimap<std::string_view, const WorkerSeen*>;

  void begin(Instant now, const std::vector<Instance>& listed, const std::vector<WorkerSeen>& workers);
  void end();
  void see_listed(Instant now, const std::vector<Instance>& listed, const Tokens& tokens);
  void see_start(Instant now, Known& known);
  void drop_unlisted(Instant now, const std::vector<Instance>& listed, const Tokens& tokens);
  void see_workers(Instant now, const std::vector<WorkerSeen>& workers, const Tokens& tokens);
  void see_worker(Instant now, Known& known, const Tokens& tokens);
  void came_up(Instant now, Known& known);
  Known& add(Instant now, const Instance& instance, Pending* launch);
  Pending* launch_of(std::string_view token);
  void drop_settled_launches();
  void note_heard(Instant now, Known& known, const Tokens& tokens);
  void count_end(Instant now, const Known& known, const std::string& why);
  void forget_all(Instant now, std::string_view token, const std::string& why, const Tokens& tokens);
  void forget(Instant now, const WorkerSeen& worker, std::string reason);

  void end_lost(Instant now, const std::vector<WorkerSeen>& workers);
  void end_overdue(Instant now);
  void terminate(Instant now, Known& known, Fate fate, std::string reason);
  void ask_to_terminate(Instant now, Known& known, std::string reason);
  void terminate_again(Instant now);
  void drain(Instant now, Known& known, std::string reason);
  void ask_to_drain(Instant now, Known& known, std::string reason);
  void drain_again(Instant now);
  void drain_surplus(Instant now, std::uint32_t wanted, std::uint32_t workers_max);
  std::vector<Known*> by_ease_of_drain();
  void launch_missing(Instant now, std::uint32_t wanted, std::uint32_t workers_max);
  std::uint32_t launchable(Instant now, std::uint32_t missing, std::uint32_t booting,
                           std::uint32_t workers_max);
  std::uint32_t launchable_by_pace(Instant now);
  void wake_by(Instant when);

  bool is_up(const Known& known) const;
  bool is_booting(const Known& known) const;
  bool is_recent(const Pending& launch) const;
  bool is_forgotten(const WorkerSeen& worker) const;

  ReconcilerOptions options_;
  std::map<std::string, Known> instances_;    // by the provisioner's id
  std::vector<Pending> launches_;             // oldest first
  std::vector<Pace> paced_;                   // launches of the last minute, oldest first
  std::map<std::string, Instant> forgotten_;  // workers that are to be forgotten, while still named
  std::vector<Action> actions_;               // decided and not yet returned
  BootBackoff backoff_;
  BootBackoff crash_backoff_;
  std::optional<Instant> listed_at_;
  Instant list_at_ = kNoInstant;  // when the list at hand was asked for
  Instant seen_at_ = kNoInstant;  // the last call
  BootTimesByType boots_;
  FleetCounts totals_;
  std::uint32_t own_ = 0;
  std::uint32_t own_idle_ = 0;
  std::uint32_t others_running_ = 0;  // workers of no instance that is known
  std::uint32_t others_unfit_ = 0;    // of these, the ones that are of no use now
  std::uint32_t others_draining_ = 0;
  Instant surplus_since_ = kNoInstant;
  Instant wake_at_ = kNever;
  std::uint64_t launches_made_ = 0;
  std::string held_because_;
};

}  // namespace skep::scaler
