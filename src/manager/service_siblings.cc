// SPDX-License-Identifier: Apache-2.0
// What this manager does for its siblings, and for the forwarder that speaks with them.
#include <algorithm>

#include "api/convert.h"
#include "manager/service.h"

namespace skep::manager {

void Service::answer_moved_waiters() {
  for (auto at = task_waiters_.begin(); at != task_waiters_.end();) {
    const auto& shards = host_.shards();
    const bool is_served = std::any_of(shards.begin(), shards.end(),
                                       [&](const auto& shard) { return shard->id() == at->first.shard; });
    if (is_served) {
      ++at;
      continue;
    }
    auto waiters = std::move(at->second);
    const Error why = not_here(at->first);
    at = task_waiters_.erase(at);
    for (auto& waiter : waiters) {
      executor_.cancel(waiter.timer);
      executor_.post([reply = std::move(waiter.reply), why]() mutable { reply(why); });
    }
  }
}

Result<void> Service::check_served(Turn& turn, const std::optional<LeaseToken>& token) const {
  if (!keeper_ || !token || token->task.shard >= store_.shard_count()) return ok();
  if (turn.shard(token->task.shard) == nullptr) return not_here(token->task);
  return ok();
}

// ---- workers of this manager ----

bool Service::hear(const std::string& worker) {
  return registry_.heard(worker, executor_.now()) != nullptr;
}

void Service::note_elsewhere(const std::string& worker, std::size_t leases) {
  if (WorkerInfo* known = registry_.find(worker)) known->elsewhere = static_cast<std::uint32_t>(leases);
}

void Service::note_leased_elsewhere(const std::string& worker, std::size_t leases) {
  WorkerInfo* known = registry_.find(worker);
  if (known == nullptr) return;
  known->elsewhere += static_cast<std::uint32_t>(leases);
  known->idle_since = kNoInstant;
}

// ---- workers of siblings ----

void Service::acquire_for_sibling(const api::v1::AcquireRequest& request, Reply<Granted> reply) {
  if (is_draining_) return reply(Granted{});
  ShardHost::Acquire acquire;
  acquire.command.worker = request.worker();
  acquire.command.max = std::clamp<std::uint32_t>(request.max(), 1, limits::kLeaseMax);
  acquire.command.lease = options_.lease;
  if (request.kinds_size() > 0) acquire.command.kinds.assign(request.kinds().begin(), request.kinds().end());
  acquire.command.programs.assign(request.programs().begin(), request.programs().end());
  acquire.wait_until = executor_.now();
  const auto lease_ms = static_cast<std::uint64_t>(duration_cast<milliseconds>(options_.lease).count());
  acquire.done = [this, lease_ms,
                  reply = std::move(reply)](Result<std::vector<GrantedLease>> granted) mutable {
    if (!granted) return reply(granted.error());
    note_waits(granted.value());
    reply(Granted{std::move(granted.value()), lease_ms, false});
  };
  host_.acquire(std::move(acquire));
}

void Service::extend_for_sibling(std::string worker, const api::v1::HeartbeatRequest& request,
                                 Reply<api::v1::HeartbeatReply> reply) {
  api::v1::HeartbeatReply message;
  auto held = read_held(request, message);
  host_.submit<api::v1::HeartbeatReply>(
      [this, worker = std::move(worker), held = std::move(held),
       message = std::move(message)](Turn& turn) mutable -> Result<api::v1::HeartbeatReply> {
        extend(turn, worker, held, message);
        return std::move(message);
      },
      std::move(reply));
}

void Service::lose_for_sibling(std::string worker, const api::v1::LoseWorkerRequest& request,
                               Reply<api::v1::LoseWorkerReply> reply) {
  const queue::LoseWorker command{std::move(worker), request.slots(), request.message(), request.commands(),
                                  request.ended()};
  host_.submit<api::v1::LoseWorkerReply>(
      [command](Turn& turn) -> Result<api::v1::LoseWorkerReply> {
        api::v1::LoseWorkerReply message;
        for (const auto& shard : turn.shards())
          message.set_returned(message.returned() + turn.apply(*shard, command).returned);
        return message;
      },
      std::move(reply));
}

}  // namespace skep::manager
