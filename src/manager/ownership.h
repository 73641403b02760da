// SPDX-License-Identifier: Apache-2.0
// ownership.h - which shards this manager takes, serves and gives up. Pure: views and instants in, what to do
// out.
//
// The managers of a store share its shards evenly. Each beats; what an answered beat shows, a view, is all
// that they know of each other, and from the same view all compute the same shares. A member that was silent
// for `silence_max`, by the store's clock, has lost its shards, and its siblings take them. It knows that
// itself: by its own clock, counted from when it sent its last beat that was answered, it stops `margin`
// earlier. So no two serve one shard at a time, unless a clock runs wrong by more than the margin; and even
// then the store refuses writes of the old epoch. Views need not agree: two that want one shard are told
// apart by its epoch.
//
// A member whose address a younger one has is its former life, and dead: nothing has to be waited for when a
// manager that was killed is started again.
//
// Shares: of S shards and N members that live and do not leave, S mod N members have one more than the
// others: those that have most now, of these the first. Who has too many gives up; who has too few takes
// those that nobody owns.
//
// Threads:   value.
// Units:     base/time.h types; instants of the clock of this manager.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "store/membership.h"

namespace skep::manager {

struct OwnershipOptions {
  Duration silence_max = seconds(5);       // of a member; longer: its shards are free
  Duration margin = milliseconds(500);     // how much earlier it stops by itself
  Duration beat = seconds(1);              // between two
  Duration beat_soon = milliseconds(200);  // while shards are on their way
  std::size_t give_up_max = 16;            // shards that are on their way to others at a time
};

class Ownership {
 public:
  Ownership(store::MemberId self, ShardId shard_count, OwnershipOptions options);

  // What has to be done after a view. Every shard named here is answered by one of the calls below.
  struct Plan {
    std::vector<ShardId> lost;             // serve them no more, at once: they are somebody else's
    std::vector<store::ShardAt> takes;     // take and load them: on_taken, on_not_taken
    std::vector<ShardId> give_ups;         // stop serving, commit: on_releasing; release: on_given_up
    std::vector<store::ShardAt> releases;  // owned in the store, not here: release them
  };
  // A beat that was sent at `sent_at` was answered. expire() comes first.
  Plan on_view(Instant sent_at, store::ClusterView view);

  // All that is served, if the time that the last beat gave has run out: serve it no more, at once.
  std::vector<ShardId> expire(Instant now);

  // False: it came too late, or the shard was lost meanwhile: it must not be served.
  bool on_taken(store::ShardAt taken, Instant now);
  void on_not_taken(ShardId shard);
  // All of it is committed and its release is on its way: whose it is then says nothing against the rest.
  void on_releasing(ShardId shard);
  void on_given_up(ShardId shard);
  // What is served is lost here, though the store may still say that it is this manager's.
  void drop_all();
  // From the next view on everything is given up.
  void leave() { is_leaving_ = true; }
  bool is_leaving() const { return is_leaving_; }
  // Nothing is served, taken or given up.
  bool is_empty() const;

  bool serves(ShardId shard) const { return shards_[shard].state == State::kServing; }
  Instant serves_until() const { return serves_until_; }
  // When the next beat is to be sent, if the last one was at `sent_at` and its answer came at `now`.
  Instant next_beat_at(Instant sent_at, Instant now) const;

  // As of the last view; before the first one it is empty.
  const store::ClusterView& view() const { return view_; }
  store::MemberId self() const { return self_; }
  // The member that owns the shard and was heard of in time, by the last view; nothing if nobody does.
  const store::Member* owner_of(ShardId shard) const;
  // Those that live, by id, without this one.
  std::vector<store::Member> siblings() const;
  std::size_t shard_count() const { return shards_.size(); }

 private:
  enum class State : std::uint8_t { kElsewhere, kTaking, kServing, kGivingUp, kReleasing };
  struct Shard {
    State state = State::kElsewhere;
    Epoch epoch = 0;       // of kServing and what follows
    bool is_void = false;  // of kTaking: what comes of it is not to be served
  };
  struct Share {
    store::MemberId member = 0;
    std::size_t owned = 0;
    std::size_t wanted = 0;
  };
  bool is_live(const store::Member& member) const;
  bool is_own(ShardId shard) const;  // counted as this one's
  bool is_free(ShardId shard) const;
  void find_lost(Plan& plan);
  std::vector<Share> shares() const;
  void plan_give_ups(std::size_t surplus, Plan& plan);
  void plan_takes(const std::vector<Share>& shares, Plan& plan);

  const store::MemberId self_;
  const OwnershipOptions options_;
  std::vector<Shard> shards_;
  store::ClusterView view_;
  Instant serves_until_ = kNoInstant;
  bool is_leaving_ = false;
  bool is_moving_ = false;  // shards are on their way, by the last view
};

}  // namespace skep::manager
