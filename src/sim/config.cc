// SPDX-License-Identifier: Apache-2.0
#include "sim/config.h"

namespace skep::sim {
namespace {

std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random.below(high - low + 1));
}

Duration seconds_between(Random& random, std::uint32_t low, std::uint32_t high) {
  return seconds(between(random, low, high));
}

// Half of the seeds have the fault at all.
double rate(Random& random, double most) {
  const double value = random.unit() * most;
  return random.chance(0.5) ? value : 0;
}
Duration gap(Random& random, std::uint32_t low, std::uint32_t high) {
  const Duration value = seconds_between(random, low, high);
  return random.chance(0.5) ? value : Duration::zero();
}

void draw_cluster(Random& random, Config& config) {
  config.shards = static_cast<ShardId>(random.chance(0.5) ? 1 : between(random, 2, 4));
  config.workers_max = between(random, 1, 5);
  config.workers_by_hand = random.chance(0.6) ? between(random, 1, 2) : 0;
  config.workers_seed = random.chance(0.3) ? 1 : 0;
  config.slots = between(random, 1, 3);
  config.prefetch = between(random, 1, 3);
  config.are_workers_children = random.chance(0.5);
  if (random.chance(0.3)) config.lease = seconds_between(random, 8, 12);
  if (random.chance(0.5)) config.visibility = seconds_between(random, 3, 20);
  if (random.chance(0.25)) config.retention = seconds_between(random, 12, 60);
  config.acquire_wait = seconds_between(random, 3, 30);
  config.drain_timeout = seconds_between(random, 5, 20);
  if (random.chance(0.3)) config.body_cache_bytes = between(random, 0, 200);
}

void draw_load(Random& random, Config& config) {
  config.clients = between(random, 1, 4);
  config.think = milliseconds(between(random, 300, 3'000));
  config.tasks_max = between(random, 20, 100);
  config.run_ms_max = between(random, 100, 6'000);
  config.long_run = rate(random, 0.15);
  config.failing = rate(random, 0.3);
  config.permanent = rate(random, 0.1);
  config.poison = rate(random, 0.06);
  config.has_commands = random.chance(0.3);
  // A worker of the seed's protocol takes no commands, and counts towards the maximum.
  if (config.has_commands) config.workers_max += config.workers_seed;
  config.has_pauses = random.chance(0.3);
}

void draw_faults(Random& random, Config& config) {
  config.fault_phase = seconds_between(random, 40, 150);
  config.faults.message_lost = rate(random, 0.05);
  config.faults.request_twice = rate(random, 0.03);
  config.faults.message_delay_max = milliseconds(random.chance(0.3) ? between(random, 100, 900) : 20);
  config.faults.commit_unknown = rate(random, 0.02);
  config.faults.commit_refused = rate(random, 0.02);
  config.faults.commit_slow = rate(random, 0.02);
  config.faults.read_refused = rate(random, 0.01);
  config.crash_gap = random.chance(0.8) ? seconds_between(random, 10, 60) : Duration::zero();
  config.crash_at_step = random.unit();
  config.power_loss = random.chance(0.7) ? random.unit() : 0;
  config.crash_in_recovery = rate(random, 0.2);
  config.hang_gap = gap(random, 20, 80);
  config.replaced = random.unit();
  config.stop_gap = gap(random, 30, 90);
  config.disk_full_gap = gap(random, 20, 80);
  config.partition_gap = gap(random, 10, 60);
  config.worker_death_gap = gap(random, 8, 60);
  config.worker_hang_gap = gap(random, 10, 60);
  config.worker_drain_gap = gap(random, 8, 60);
  config.launch_faults = rate(random, 1.0);
  config.client_dies = rate(random, 0.3);
}

// The faults of a manager that has its store to itself give way to those of several.
void draw_managers(Random& random, Config& config) {
  constexpr ShardId kShards[] = {3, 5, 8, 8, 12, 16, 16, 64};
  config.shards = kShards[random.below(std::size(kShards))];
  config.workers_by_hand += 1;
  config.power_loss = config.crash_in_recovery = config.replaced = 0;
  config.hang_gap = config.stop_gap = Duration::zero();
  config.crash_gap = gap(random, 15, 70);
  config.pause_gap = gap(random, 15, 70);
  config.cut_gap = gap(random, 10, 50);
  config.store_away_gap = gap(random, 30, 90);
  config.leave_gap = gap(random, 20, 70);
  config.rolling_gap = random.chance(0.3) ? seconds_between(random, 40, 80) : Duration::zero();
  // A slow clock and a fast one of the store's take from the margin in which an owner stops by itself.
  config.drift_max = rate(random, 0.03);
  config.store_clock.drift = (2 * random.unit() - 1) * config.drift_max;
  config.clock_offset_max = milliseconds(random.chance(0.5) ? between(random, 0, 2'000) : 0);
  config.store_clock.offset = milliseconds(between(random, 0, 2'000));
}

}  // namespace

Config make_config(std::uint64_t seed, Breakage breakage, std::uint32_t managers) {
  Config config;
  config.seed = seed;
  config.breakage = breakage;
  // Not the stream of the run itself: a change of what is drawn here shall not shift every event.
  Random random(seed * 0x9e3779b97f4a7c15u + 0x5eed);
  draw_cluster(random, config);
  draw_load(random, config);
  draw_faults(random, config);
  config.managers = managers;
  if (managers > 1) draw_managers(random, config);
  return config;
}

}  // namespace skep::sim
