// SPDX-License-Identifier: Apache-2.0
#include "manager/shard_keeper.h"

#include <algorithm>

namespace skep::manager {
namespace {

// A shard on its way in: made and filled on the store's thread.
class LoadingShard final : public store::RecordSink {
 public:
  LoadingShard(ShardId id, Epoch epoch, Random random, queue::ShardOptions options)
      : shard(std::make_unique<queue::Shard>(id, epoch, random, options)) {}
  void on_queue(QueueRecord record) override { shard->load(std::move(record)); }
  void on_task(TaskRecord record) override { shard->load(std::move(record)); }

  std::unique_ptr<queue::Shard> shard;
};

}  // namespace

ShardKeeper::ShardKeeper(Executor& executor, store::Membership& membership, ShardHost& host,
                         ShardId shard_count, ShardKeeperOptions options, std::function<void()> on_change,
                         Random random, Logger log)
    : executor_(executor),
      membership_(membership),
      host_(host),
      options_(options),
      on_change_(std::move(on_change)),
      random_(random),
      log_(std::move(log)),
      ownership_(membership.self(), shard_count, options.ownership) {}

ShardKeeper::~ShardKeeper() {
  *alive_ = false;
  executor_.cancel(beat_timer_);
  executor_.cancel(time_timer_);
}

void ShardKeeper::start() {
  log_.info("joined the managers of the store", {{"member", membership_.self()}});
  beat();
}

// ---- beats ----

void ShardKeeper::beat_at(Instant when) {
  if (is_beating_) return;
  executor_.cancel(beat_timer_);
  beat_due_ = when;
  beat_timer_ = executor_.post_at(when, [this] { beat(); });
}

void ShardKeeper::beat() {
  beat_timer_ = 0;
  if (is_beating_) return;
  is_beating_ = true;
  const Instant sent_at = beat_sent_at_ = executor_.now();
  membership_.beat(ownership_.is_leaving(), [this, alive = alive_, sent_at](Result<store::ClusterView> view) {
    if (!*alive) return;
    is_beating_ = false;
    on_view(sent_at, std::move(view));
  });
}

void ShardKeeper::look() {
  const Instant soon = std::max(executor_.now(), beat_sent_at_ + options_.ownership.beat_soon / 2);
  if (soon < beat_due_) beat_at(soon);
}

void ShardKeeper::on_view(Instant sent_at, Result<store::ClusterView> view) {
  check_time();
  const Instant now = executor_.now();
  if (!view) {
    log_.warn("the store does not take the beat", {{"problem", view.error().message}});
    beat_at(now + options_.retry);
    return;
  }
  auto plan = ownership_.on_view(sent_at, std::move(view.value()));
  if (!plan.lost.empty()) {
    // What was applied of it is in one commit with that of others, so these are loaded again, too.
    host_.drop_all(fail(Code::kFenced, "shard " + std::to_string(plan.lost.front()) + " has another owner"));
    ownership_.drop_all();
    plan.give_ups.clear();
  }
  if (now < ownership_.serves_until()) host_.serve_until(ownership_.serves_until());
  executor_.cancel(time_timer_);
  time_timer_ = executor_.post_at(ownership_.serves_until(), [this] { check_time(); });
  for (const ShardId shard : plan.give_ups) give_up(shard);
  if (!plan.releases.empty()) membership_.release(std::move(plan.releases), [](const Result<void>&) {});
  for (const auto& seen : plan.takes) take(seen);
  if (takes_under_way_ == 0) is_settled_ = true;
  beat_at(ownership_.next_beat_at(sent_at, now));
  changed();
}

// By its own clock: whether its siblings may think that it is gone.
void ShardKeeper::check_time() {
  if (ownership_.expire(executor_.now()).empty()) return;
  host_.drop_all(fail(Code::kFenced, "this manager could not renew its claims in time: it has none now"));
  changed();
}

void ShardKeeper::on_lost() {
  ownership_.drop_all();
  beat_at(executor_.now() + options_.retry);
  changed();
}

// ---- shards ----

void ShardKeeper::take(store::ShardAt seen) {
  ++takes_under_way_;
  auto loading = std::make_shared<std::shared_ptr<LoadingShard>>();
  auto make_sink = [loading, id = seen.shard, random = random_.split(),
                    options = options_.shard](Epoch epoch) -> std::shared_ptr<store::RecordSink> {
    *loading = std::make_shared<LoadingShard>(id, epoch, random, options);
    return *loading;
  };
  membership_.take(seen, std::move(make_sink), [this, alive = alive_, loading, seen](Result<Epoch> taken) {
    if (!*alive) return;
    if (--takes_under_way_ == 0) is_settled_ = true;
    check_time();
    if (!taken) {
      ownership_.on_not_taken(seen.shard);
      if (taken.error().code != Code::kFenced)
        log_.error("a shard can not be taken", {{"shard", seen.shard}, {"problem", taken.error().message}});
    } else if (ownership_.on_taken({seen.shard, taken.value()}, executor_.now())) {
      host_.take_on(std::move((*loading)->shard));
    }
    changed();
  });
}

void ShardKeeper::give_up(ShardId shard) {
  const auto& served = host_.shards();
  const auto at =
      std::find_if(served.begin(), served.end(), [shard](const auto& other) { return other->id() == shard; });
  if (at == served.end()) {
    ownership_.on_given_up(shard);
    return;
  }
  const Epoch epoch = (*at)->epoch();
  host_.give_up(shard, [this, alive = alive_, shard, epoch] {
    if (!*alive) return;
    ownership_.on_releasing(shard);
    membership_.release({{shard, epoch}}, [this, alive, shard](const Result<void>& released) {
      if (!*alive) return;
      if (!released)
        log_.warn("a shard can not be released", {{"shard", shard}, {"problem", released.error().message}});
      ownership_.on_given_up(shard);
      changed();
    });
  });
}

void ShardKeeper::changed() {
  if (left_ && ownership_.is_empty() && is_taken_over()) end_leave();
  if (on_change_) on_change_();
}

// ---- leaving ----

void ShardKeeper::leave(UniqueFunction<void()> left) {
  left_ = std::move(left);
  leave_until_ = executor_.now() + kLeavePatience;
  ownership_.leave();
  beat_at(executor_.now());
}

bool ShardKeeper::is_taken_over() const {
  if (ownership_.siblings().empty() || executor_.now() >= leave_until_) return true;
  for (ShardId shard = 0; shard < ownership_.shard_count(); ++shard) {
    const store::Member* owner = ownership_.owner_of(shard);
    if (owner == nullptr || owner->id == ownership_.self()) return false;
  }
  return true;
}

void ShardKeeper::end_leave() {
  auto left = std::move(left_);
  left_ = nullptr;
  executor_.cancel(beat_timer_);
  is_beating_ = true;  // no further one
  membership_.leave([left = std::move(left)](const Result<void>&) mutable { left(); });
}

}  // namespace skep::manager
