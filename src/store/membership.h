// SPDX-License-Identifier: Apache-2.0
// membership.h - the managers that share one store: who lives, by the store's clock, and who owns which
// shard.
//
// A manager joins once in its life and beats from then on. What a shard's epoch is decides whose it is: every
// take and every release raises it, so that of two managers that want the same shard one is refused, and one
// that was away finds that it owns nothing any more. Whether a member that is silent still counts, and who
// should have what, is not decided here (manager/ownership.h).
//
// Threads:   calls from the executor that the replies run on; a reply never inside the call. Beats wait for
//            nothing else; takes and releases are done in the order they were given.
// Errors:    kUnavailable: the store is away; kFenced: the shard has another epoch than was said.
// Ownership: a Membership must not outlive its Store. Replies come also after its end, if they were begun.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "base/time.h"
#include "task/id.h"

namespace skep::store {

class RecordSink;

// Of one life of a manager; never given twice. 0 is nobody.
using MemberId = std::uint64_t;

struct Member {
  MemberId id = 0;
  std::string address;      // HOST:PORT that its siblings reach it by
  bool is_leaving = false;  // it takes nothing more
  Duration silence{};       // since its last beat
  auto operator<=>(const Member&) const = default;
};
struct ShardOwner {
  Epoch epoch = 0;
  MemberId owner = 0;
  auto operator<=>(const ShardOwner&) const = default;
};
// At one moment, after the beat that asked for it.
struct ClusterView {
  std::vector<Member> members;     // by id; those that were silent for an hour are left out
  std::vector<ShardOwner> shards;  // by shard
};

struct ShardAt {
  ShardId shard = 0;
  Epoch epoch = 0;
  auto operator<=>(const ShardAt&) const = default;
};

class Membership {
 public:
  // Where the records of a shard go that was taken at that epoch. Runs on a thread of the store's; what it
  // gives is called there, too, and only until the reply.
  using MakeSink = UniqueFunction<std::shared_ptr<RecordSink>(Epoch)>;

  virtual ~Membership() = default;

  virtual MemberId self() const = 0;

  // Says that this member lives, durably.
  virtual void beat(bool is_leaving, UniqueFunction<void(Result<ClusterView>)> done) = 0;

  // Makes this member the owner of a shard that has the epoch `seen.epoch` in the store, at a higher one, and
  // loads it. Waits for the commits of the owner before. kFenced: the epoch is another; nothing happened.
  // After kUnavailable and kCorrupt it may own it all the same. The new epoch.
  virtual void take(ShardAt seen, MakeSink make_sink, UniqueFunction<void(Result<Epoch>)> done) = 0;

  // From now on nobody owns them. Those whose epoch is another are left as they are.
  virtual void release(std::vector<ShardAt> shards, UniqueFunction<void(Result<void>)> done) = 0;

  // It is no member any more; its shards are nobody's. No call may follow.
  virtual void leave(UniqueFunction<void(Result<void>)> done) = 0;
};

}  // namespace skep::store
