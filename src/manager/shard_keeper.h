// SPDX-License-Identifier: Apache-2.0
// shard_keeper.h - keeps this manager a member of those that share the store, and its shards in the host.
//
// The shell of manager/ownership.h: it beats, carries out the plan of each view, and sees to it that the host
// serves nothing beyond the time that the last beat gave.
//
// Threads:   everything on the executor given.
// Errors:    are logged and tried again with the next beat.
// Ownership: borrows executor, membership and host, which must outlive it. Replies after its end are dropped.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/function.h"
#include "base/log.h"
#include "base/random.h"
#include "manager/ownership.h"
#include "manager/shard_host.h"
#include "store/membership.h"

namespace skep::manager {

// How long a member that leaves waits for the others to take its shards: until then it can not tell who has
// them.
inline constexpr Duration kLeavePatience = milliseconds(1'500);

struct ShardKeeperOptions {
  OwnershipOptions ownership;
  queue::ShardOptions shard;
  Duration retry = milliseconds(300);  // after a beat that failed
};

class ShardKeeper {
 public:
  // `on_change` is called after each view, and when a shard came or went.
  ShardKeeper(Executor& executor, store::Membership& membership, ShardHost& host, ShardId shard_count,
              ShardKeeperOptions options, std::function<void()> on_change, Random random, Logger log);
  ~ShardKeeper();
  ShardKeeper(const ShardKeeper&) = delete;
  ShardKeeper& operator=(const ShardKeeper&) = delete;

  void start();
  // Gives everything up; when the others have taken it, or kLeavePatience has passed, this is no member any
  // more and `left` runs.
  void leave(UniqueFunction<void()> left);
  // Somebody looks for the owner of a shard in vain: it beats soon.
  void look();
  // The host serves nothing any more, though nobody asked it to.
  void on_lost();

  const Ownership& ownership() const { return ownership_; }
  // A view has been carried out, so that all it may have now it has.
  bool is_settled() const { return is_settled_; }

 private:
  void beat();
  void beat_at(Instant when);
  void on_view(Instant sent_at, Result<store::ClusterView> view);
  void check_time();
  void take(store::ShardAt seen);
  void give_up(ShardId shard);
  void changed();
  bool is_taken_over() const;
  void end_leave();

  Executor& executor_;
  store::Membership& membership_;
  ShardHost& host_;
  const ShardKeeperOptions options_;
  const std::function<void()> on_change_;
  Random random_;
  Logger log_;
  Ownership ownership_;
  bool is_beating_ = false;
  bool is_settled_ = false;
  std::size_t takes_under_way_ = 0;
  Instant beat_sent_at_{};
  Instant beat_due_{};
  TimerId beat_timer_ = 0;
  TimerId time_timer_ = 0;
  UniqueFunction<void()> left_;
  Instant leave_until_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace skep::manager
