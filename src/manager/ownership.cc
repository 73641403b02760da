// SPDX-License-Identifier: Apache-2.0
#include "manager/ownership.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace skep::manager {
namespace {

// How long after a member's time has run out the others look, so that it has for sure.
constexpr Duration kLookAfter = milliseconds(10);

}  // namespace

Ownership::Ownership(store::MemberId self, ShardId shard_count, OwnershipOptions options)
    : self_(self), options_(options), shards_(shard_count) {
  SKEP_CHECK(options.margin < options.silence_max && options.beat < options.silence_max - options.margin,
             "a member beats before its time runs out");
}

// ---- what is known ----

bool Ownership::is_live(const store::Member& member) const {
  if (member.silence >= options_.silence_max) return false;
  return std::none_of(view_.members.begin(), view_.members.end(), [&](const store::Member& other) {
    return other.id > member.id && other.address == member.address && other.silence < options_.silence_max;
  });
}

const store::Member* Ownership::owner_of(ShardId shard) const {
  if (shard >= view_.shards.size() || view_.shards[shard].owner == 0) return nullptr;
  for (const auto& member : view_.members) {
    if (member.id == view_.shards[shard].owner) return is_live(member) ? &member : nullptr;
  }
  return nullptr;
}

std::vector<store::Member> Ownership::siblings() const {
  std::vector<store::Member> others;
  for (const auto& member : view_.members) {
    if (member.id != self_ && is_live(member)) others.push_back(member);
  }
  return others;
}

bool Ownership::is_empty() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const Shard& shard) { return shard.state == State::kElsewhere; });
}

// What is on its way to others counts no more, what is on its way here does.
bool Ownership::is_own(ShardId shard) const {
  switch (shards_[shard].state) {
    case State::kTaking:
    case State::kServing:
      return true;
    case State::kGivingUp:
    case State::kReleasing:
      return false;
    case State::kElsewhere:
      break;
  }
  return view_.shards[shard].owner == self_;
}

bool Ownership::is_free(ShardId shard) const {
  return shards_[shard].state == State::kElsewhere && view_.shards[shard].owner != self_ &&
         owner_of(shard) == nullptr;
}

Instant Ownership::next_beat_at(Instant sent_at, Instant now) const {
  Instant next = sent_at + (is_moving_ ? options_.beat_soon : options_.beat);
  for (const auto& member : view_.members) {
    const Duration left = options_.silence_max - member.silence;
    if (member.id != self_ && left > Duration::zero()) next = std::min(next, now + left + kLookAfter);
  }
  return std::max(next, now);
}

// ---- what becomes of shards ----

std::vector<ShardId> Ownership::expire(Instant now) {
  std::vector<ShardId> lost;
  if (now < serves_until_) return lost;
  for (ShardId shard = 0; shard < shards_.size(); ++shard) {
    if (shards_[shard].state == State::kServing || shards_[shard].state == State::kGivingUp)
      lost.push_back(shard);
  }
  drop_all();
  return lost;
}

void Ownership::drop_all() {
  for (auto& shard : shards_) {
    const bool is_taking = shard.state == State::kTaking;
    shard = {};
    if (is_taking) shard = {State::kTaking, 0, true};
  }
}

bool Ownership::on_taken(store::ShardAt taken, Instant now) {
  Shard& shard = shards_[taken.shard];
  SKEP_CHECK(shard.state == State::kTaking, "a shard that is taken was to be taken");
  const bool is_void = std::exchange(shard, {}).is_void;
  // A view that is younger than the taking may already say that it is somebody else's.
  if (is_void || now >= serves_until_ || view_.shards[taken.shard].epoch > taken.epoch) return false;
  shard = {State::kServing, taken.epoch};
  return true;
}

void Ownership::on_not_taken(ShardId shard) {
  if (shards_[shard].state == State::kTaking) shards_[shard] = {};
}

void Ownership::on_releasing(ShardId shard) {
  if (shards_[shard].state == State::kGivingUp) shards_[shard].state = State::kReleasing;
}

void Ownership::on_given_up(ShardId shard) {
  const State state = shards_[shard].state;
  if (state == State::kGivingUp || state == State::kReleasing) shards_[shard] = {};
}

// ---- the plan ----

Ownership::Plan Ownership::on_view(Instant sent_at, store::ClusterView view) {
  SKEP_CHECK(view.shards.size() == shards_.size(), "a view tells of every shard");
  view_ = std::move(view);
  serves_until_ = sent_at + options_.silence_max - options_.margin;
  Plan plan;
  find_lost(plan);
  const auto shares = this->shares();
  const auto own = std::find_if(shares.begin(), shares.end(),
                                [this](const Share& share) { return share.member == self_; });
  std::size_t owned = 0;
  for (ShardId shard = 0; shard < shards_.size(); ++shard) owned += is_own(shard) ? 1 : 0;
  const std::size_t wanted = own == shares.end() ? 0 : own->wanted;
  is_moving_ = owned < wanted;
  for (ShardId shard = 0; shard < shards_.size(); ++shard) is_moving_ |= view_.shards[shard].owner == 0;
  if (owned > wanted) plan_give_ups(owned - wanted, plan);
  if (!is_leaving_) plan_takes(shares, plan);
  return plan;
}

// A view may be older than what was taken since: then the epoch in it is the lower one. It may also show a
// release of this manager's own before that is answered: beats and releases do not wait for each other.
void Ownership::find_lost(Plan& plan) {
  for (ShardId shard = 0; shard < shards_.size(); ++shard) {
    const bool is_held = shards_[shard].state == State::kServing || shards_[shard].state == State::kGivingUp;
    if (!is_held || view_.shards[shard].epoch <= shards_[shard].epoch) continue;
    plan.lost.push_back(shard);
    shards_[shard] = {};
  }
}

std::vector<Ownership::Share> Ownership::shares() const {
  std::vector<Share> shares;
  for (const auto& member : view_.members) {
    const bool is_leaving = member.id == self_ ? is_leaving_ : member.is_leaving;
    if (is_live(member) && !is_leaving) shares.push_back({member.id, 0, 0});
  }
  for (ShardId shard = 0; shard < shards_.size(); ++shard) {
    const store::MemberId owner = is_own(shard) ? self_ : view_.shards[shard].owner;
    for (auto& share : shares) {
      if (share.member == owner && (owner != self_ || is_own(shard))) ++share.owned;
    }
  }
  if (shares.empty()) return shares;
  std::stable_sort(shares.begin(), shares.end(),
                   [](const Share& x, const Share& y) { return x.owned > y.owned; });
  for (std::size_t i = 0; i < shares.size(); ++i)
    shares[i].wanted = shards_.size() / shares.size() + (i < shards_.size() % shares.size() ? 1 : 0);
  std::sort(shares.begin(), shares.end(), [](const Share& x, const Share& y) { return x.member < y.member; });
  return shares;
}

// What is not served here goes first, shard 0 last: who owns it leads.
void Ownership::plan_give_ups(std::size_t surplus, Plan& plan) {
  for (ShardId shard = 0; shard < shards_.size() && surplus > 0; ++shard) {
    if (shards_[shard].state != State::kElsewhere || view_.shards[shard].owner != self_) continue;
    plan.releases.push_back({shard, view_.shards[shard].epoch});
    --surplus;
  }
  auto under_way =
      static_cast<std::size_t>(std::count_if(shards_.begin(), shards_.end(), [](const Shard& shard) {
        return shard.state == State::kGivingUp || shard.state == State::kReleasing;
      }));
  const std::size_t most = is_leaving_ ? shards_.size() : options_.give_up_max;
  for (std::size_t left = shards_.size(); left > 0 && surplus > 0 && under_way < most; --left) {
    const auto shard = static_cast<ShardId>(left - 1);
    if (shards_[shard].state != State::kServing) continue;
    shards_[shard].state = State::kGivingUp;
    plan.give_ups.push_back(shard);
    --surplus;
    ++under_way;
  }
}

// Each member that has too few takes its part of the free shards, in the order of both. What the store says
// is this one's, and is not served here, it takes at once.
void Ownership::plan_takes(const std::vector<Share>& shares, Plan& plan) {
  const auto take = [&](ShardId shard) {
    shards_[shard].state = State::kTaking;
    plan.takes.push_back({shard, view_.shards[shard].epoch});
  };
  const bool is_sharing =
      std::any_of(shares.begin(), shares.end(), [this](const Share& share) { return share.member == self_; });
  for (ShardId shard = 0; is_sharing && shard < shards_.size(); ++shard) {
    const bool is_here = shards_[shard].state != State::kElsewhere;
    if (is_here || view_.shards[shard].owner != self_) continue;
    const bool is_released =
        std::any_of(plan.releases.begin(), plan.releases.end(),
                    [shard](const store::ShardAt& released) { return released.shard == shard; });
    if (!is_released) take(shard);
  }
  auto share = shares.begin();
  std::size_t given = 0;
  for (ShardId shard = 0; shard < shards_.size(); ++shard) {
    if (!is_free(shard)) continue;
    while (share != shares.end() && share->owned + given >= share->wanted) {
      ++share;
      given = 0;
    }
    if (share == shares.end()) return;
    ++given;
    if (share->member == self_) take(shard);
  }
}

}  // namespace skep::manager
