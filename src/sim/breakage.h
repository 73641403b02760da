// SPDX-License-Identifier: Apache-2.0
// breakage.h - deliberate breakages: what a simulator that is worth anything must notice.
//
// Each is put in at a seam (the store, the manager's boundary, the provisioner, a worker), so that the
// product carries no switch for them. docs/simulation.md says what each does and which checker is expected to
// find it.
//
// Threads:   constants.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace skep::sim {

enum class Breakage : std::uint8_t {
  kNone,
  kSkipCommit,         // a durable commit is answered and its data is dropped
  kReplyEarly,         // a durable commit is answered before it would survive a crash
  kSkipFence,          // the store takes writes of an old epoch
  kForgetLease,        // the extension of a lease is forgotten: it runs out while its worker has it
  kStuckLease,         // heartbeats of a dead worker go on: its leases never end
  kDeliverTwice,       // the mark that a result was delivered is not stored
  kForgetKey,          // the idempotency key is not stored
  kForgetFailure,      // failed attempts are not stored
  kWrongResult,        // a worker computes wrongly
  kLostCancel,         // a cancel is answered and not done
  kLeakWorker,         // an instance that is to be terminated stays
  kLaunchTwice,        // a launch starts one more than asked for
  kForgetCheckpoint,   // checkpoints are not stored
  kForeignCheckpoint,  // a heartbeat's checkpoint is that of another task
  // ---- of several managers ----
  kLateStop,          // an owner does not stop by its own clock
  kUnknownAsRefused,  // a commit whose outcome is not known is told as one that was not written
  kUnknownAsDone,     // the same as one that was
  kStaleLoad,         // a shard that is taken is loaded as it was a moment before
  kNoLeader,          // each manager sizes the fleet, whoever leads
  kKeepShards,        // a manager gives nothing up to one that joins
};

struct BreakageName {
  Breakage breakage;
  std::string_view name;
  bool is_of_several = false;  // managers: with one it breaks nothing
};
inline constexpr std::array<BreakageName, 20> kBreakages{{
    {Breakage::kSkipCommit, "skip_commit"},
    {Breakage::kReplyEarly, "reply_early"},
    {Breakage::kSkipFence, "skip_fence"},
    {Breakage::kForgetLease, "forget_lease"},
    {Breakage::kStuckLease, "stuck_lease"},
    {Breakage::kDeliverTwice, "deliver_twice"},
    {Breakage::kForgetKey, "forget_key"},
    {Breakage::kForgetFailure, "forget_failure"},
    {Breakage::kWrongResult, "wrong_result"},
    {Breakage::kLostCancel, "lost_cancel"},
    {Breakage::kLeakWorker, "leak_worker"},
    {Breakage::kLaunchTwice, "launch_twice"},
    {Breakage::kForgetCheckpoint, "forget_checkpoint"},
    {Breakage::kForeignCheckpoint, "foreign_checkpoint"},
    {Breakage::kLateStop, "late_stop", true},
    {Breakage::kUnknownAsRefused, "unknown_as_refused", true},
    {Breakage::kUnknownAsDone, "unknown_as_done", true},
    {Breakage::kStaleLoad, "stale_load", true},
    {Breakage::kNoLeader, "no_leader", true},
    {Breakage::kKeepShards, "keep_shards", true},
}};

constexpr std::string_view breakage_name(Breakage breakage) {
  for (const auto& entry : kBreakages) {
    if (entry.breakage == breakage) return entry.name;
  }
  return "none";
}

constexpr std::optional<Breakage> parse_breakage(std::string_view name) {
  for (const auto& entry : kBreakages) {
    if (entry.name == name) return entry.breakage;
  }
  return std::nullopt;
}

}  // namespace skep::sim
