// SPDX-License-Identifier: Apache-2.0
// Shards that come and go while others are served: what the shard keeper asks of the host.
#include <algorithm>

#include "base/check.h"
#include "manager/shard_host.h"

namespace skep::manager {

Error ShardHost::out_of_time() {
  return fail(Code::kFenced, "this manager could not renew its claims in time: it has none now");
}

void ShardHost::start_sharing(UniqueFunction<void()> on_lost) {
  is_sharing_ = true;
  on_lost_ = std::move(on_lost);
}

void ShardHost::serve_until(Instant until) {
  if (state_ == HostState::kStopped) return;
  serve_until_ = until;
  set_state(HostState::kServing, {});
  if (has_uncommitted()) schedule();
}

void ShardHost::take_on(std::unique_ptr<queue::Shard> shard) {
  const ShardId id = shard->id();
  const auto at = std::lower_bound(shards_.begin(), shards_.end(), id,
                                   [](const auto& other, ShardId wanted) { return other->id() < wanted; });
  SKEP_CHECK(at == shards_.end() || (*at)->id() != id, "a shard is taken on once");
  shard->finish_load(executor_.now());
  log_.info("shard taken on", {{"shard", id}, {"epoch", shard->epoch()}, {"tasks", shard->size()}});
  shards_.insert(at, std::move(shard));
  openings_seen_.reset();
  set_timer();
  schedule();  // who waits may find something in it
}

void ShardHost::give_up(ShardId id, UniqueFunction<void()> done) {
  const auto at =
      std::find_if(shards_.begin(), shards_.end(), [id](const auto& shard) { return shard->id() == id; });
  SKEP_CHECK(at != shards_.end(), "a shard that is given up is served");
  leaving_.push_back({std::move(*at), std::move(done)});
  shards_.erase(at);
  log_.info("shard given up", {{"shard", id}});
  if (!is_committing_) end_leaving();
}

// None of them changes any more, so the first commit after which nothing of it waits is its last.
void ShardHost::end_leaving() {
  for (auto at = leaving_.begin(); at != leaving_.end();) {
    const auto effects = effects_.find(at->shard->id());
    if (effects != effects_.end() && !effects->second.empty()) {
      ++at;
      continue;
    }
    totals_before_ += at->shard->totals();
    executor_.post([done = std::move(at->done)]() mutable { done(); });
    at = leaving_.erase(at);
  }
}

void ShardHost::drop_all(const Error& why) {
  if (state_ == HostState::kStopped) return;
  totals_before_ = totals_committed_;  // what was counted since never happened
  shards_.clear();
  for (auto& leaving : std::exchange(leaving_, {}))
    executor_.post([done = std::move(leaving.done)]() mutable { done(); });
  bodies_.clear();
  executor_.cancel(timer_);
  timer_ = 0;
  serve_until_ = kNoInstant;
  set_state(HostState::kUnavailable, why.message);
  log_.error("all shards are lost; they are taken again", {{"problem", why.message}});
  fail_pending(why);
}

void ShardHost::lose_all(const Error& why) {
  drop_all(fail(Code::kUnavailable, "the store does not serve: " + why.message));
  if (on_lost_) on_lost_();
}

Epoch ShardHost::epoch_of(ShardId id) const {
  for (const auto& shard : shards_) {
    if (shard->id() == id) return shard->epoch();
  }
  for (const auto& leaving : leaving_) {
    if (leaving.shard->id() == id) return leaving.shard->epoch();
  }
  return 0;
}

}  // namespace skep::manager
