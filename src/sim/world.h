// SPDX-License-Identifier: Apache-2.0
// world.h - what all parts of one run share: time, chance, books, disk and checkers.
//
// Threads:   one thread.
// Ownership: owns its parts; outlives every process of the run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/testing/virtual_executor.h"
#include "sim/auditor.h"
#include "sim/checker.h"
#include "sim/config.h"
#include "sim/cuts.h"
#include "sim/disk.h"
#include "sim/process.h"
#include "sim/trace.h"

namespace skep::sim {

// One shard that a manager serves now.
struct Serving {
  std::size_t node = 0;
  ShardId shard = 0;
  Epoch epoch = 0;
};

struct World {
  explicit World(const Config& c)
      : config(c), faults(c.faults), random(c.seed), disk(*this), checkers(make_checkers(*this)) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Instant now() const { return executor.now(); }
  void note(std::string_view what, std::string_view detail = {}) { trace.add(now(), what, detail); }
  // Something that a run should have seen: in the trace and in the counters.
  void event(std::string_view what, std::string_view detail = {}) {
    counters.add(what);
    note(what, detail);
  }
  template <class F>
  void tell(F hook) {
    for (auto& checker : checkers) hook(*checker);
  }

  Duration up_to(Duration most) {
    return Duration(static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(most.count()) + 1)));
  }
  bool is_shared() const { return config.managers > 1; }
  Instant store_now() const { return config.store_clock.local(now()); }
  // Something went wrong, or a manager came or went: soft state may be gone, and who shares what changes.
  void trouble() {
    disturb();
    unsettle();
  }
  void disturb() { disturbed_at = now(); }
  // What belongs to it, as that a shard has another owner.
  void unsettle() {
    ++manager_troubles;
    tell([](Checker& checker) { checker.on_manager_trouble(); });
  }
  // How long after the last trouble everything that depends on more than one manager goes its way again.
  Duration settle_time() const { return is_shared() ? config.visibility + seconds(10) : Duration::zero(); }
  // By how much two clocks that wrote into one record may differ.
  Duration clock_slack() const {
    if (!is_shared()) return Duration::zero();
    const auto passed = static_cast<double>((now() - testing::VirtualExecutor::kStart).count());
    const Duration drifted(static_cast<Duration::rep>(passed * config.drift_max));
    return 2 * (config.clock_offset_max + drifted) + seconds(1);
  }

  // Uniform over half to one and a half of it.
  Duration about(Duration mean) { return mean / 2 + up_to(mean); }

  // A place at which a crash may come: `crash_at_step` of them from now, `crash` is called.
  void step() {
    if (steps_to_crash == 0 || --steps_to_crash > 0) return;
    if (crash) crash();
  }

  const Config config;
  Faults faults;
  testing::VirtualExecutor executor;
  Random random;
  Trace trace;
  Counters counters;
  Verdict verdict;
  Auditor auditor;
  Duration slow_commits{};             // time that commits of more than a second have taken so far
  std::uint64_t manager_troubles = 0;  // crashes, hangs, failed commits so far
  Instant disturbed_at{};
  Cuts cuts;
  Instant store_away_until{};
  std::uint64_t store_failovers = 0;  // each ends all connections to it
  std::uint64_t steps_to_crash = 0;
  std::function<void()> crash;
  std::function<bool()> is_manager_serving;  // all of them, and nothing is in their way
  std::function<std::vector<Serving>()> served;
  std::function<std::vector<std::size_t>()> shares;  // of shards, of each manager that runs
  std::function<std::uint32_t()> machines_existing;
  std::function<std::uint32_t()> machines_peak;
  bool is_healed = false;
  Disk disk;
  std::vector<std::unique_ptr<Checker>> checkers;
};

}  // namespace skep::sim
