// SPDX-License-Identifier: Apache-2.0
// What this manager does for its siblings, and for the forwarder that speaks with them.
#include <algorithm>
#include <cctype>

#include "api/convert.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

constexpr std::size_t kSiblingsMax = 64;

// The same, or another name of this machine with the same port. 127.0.0.2 may be somebody else's.
bool is_own_address(const std::string& address, const std::string& own) {
  if (address == own) return true;
  const auto split = [](const std::string& text) {
    const auto colon = text.rfind(':');
    return std::pair(text.substr(0, colon),
                     colon == std::string::npos ? std::string() : text.substr(colon + 1));
  };
  const auto is_loopback = [](const std::string& host) {
    return host == "localhost" || host == "[::1]" || host == "127.0.0.1";
  };
  const auto [host, port] = split(address);
  const auto [own_host, own_port] = split(own);
  return port == own_port && is_loopback(host) && is_loopback(own_host);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

// ---- who they are ----

void Service::name_sibling(const std::string& sibling) {
  const std::string address = lower_case(sibling);
  const bool is_known = std::find(siblings_.begin(), siblings_.end(), address) != siblings_.end();
  if (is_known || is_own_address(address, options_.address)) return;
  siblings_.insert(siblings_.begin() + static_cast<std::ptrdiff_t>(named_siblings_++), address);
}

void Service::register_sibling(std::string sibling, Reply<void> reply) {
  sibling = lower_case(std::move(sibling));
  const bool is_known = std::find(siblings_.begin(), siblings_.end(), sibling) != siblings_.end();
  if (is_known || is_own_address(sibling, options_.address)) return reply(ok());
  if (siblings_.size() >= kSiblingsMax) {
    return reply(fail(Code::kExhausted, "there are " + std::to_string(siblings_.size()) +
                                            " siblings, as many as there may be"));
  }
  log_.info("sibling registered", {{"sibling", sibling}});
  siblings_.push_back(std::move(sibling));
  if (!keep_siblings_) return reply(ok());
  const auto first = siblings_.begin() + static_cast<std::ptrdiff_t>(named_siblings_);
  keep_siblings_({first, siblings_.end()}, std::move(reply));
}

void Service::forget_sibling(const std::string& sibling) {
  const auto first = siblings_.begin() + static_cast<std::ptrdiff_t>(named_siblings_);
  const auto found = std::find(first, siblings_.end(), sibling);
  if (found == siblings_.end()) return;
  log_.warn("sibling forgotten: it has not answered for a long time", {{"sibling", sibling}});
  siblings_.erase(found);
  const auto rest = siblings_.begin() + static_cast<std::ptrdiff_t>(named_siblings_);
  if (keep_siblings_) keep_siblings_({rest, siblings_.end()}, [](const Result<void>&) {});
}

std::vector<std::string> Service::managers() const {
  std::vector<std::string> all{options_.address};
  if (keeper_) {
    for (const auto& sibling : keeper_->ownership().siblings()) all.push_back(sibling.address);
  }
  for (const auto& sibling : siblings_) {
    if (std::find(all.begin(), all.end(), sibling) == all.end()) all.push_back(sibling);
  }
  return all;
}

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

std::uint32_t Service::workers_active() const {
  return static_cast<std::uint32_t>(
      std::count_if(registry_.all().begin(), registry_.all().end(), [](const auto& entry) {
        const WorkerInfo& worker = entry.second;
        return !worker.is_lost && !worker.is_draining && worker.move_to.empty();
      }));
}

void Service::ask_to_move(const std::string& address, std::uint32_t workers) {
  std::vector<WorkerInfo*> able;
  for (auto& [id, worker] : registry_.all()) {
    // Its manager's child belongs on its machine; so does an instance that its manager alone watches.
    const bool is_child =
        !worker.instance.empty() && (provisioner_ == "process" || (provisioner_ == "ec2" && !keeper_));
    const bool is_able = !worker.is_lost && !worker.is_draining && !worker.is_seed && !worker.is_staying &&
                         !is_child && worker.move_to.empty();
    if (is_able) able.push_back(&worker);
  }
  for (; workers > 0 && !able.empty(); --workers) {
    std::swap(able[random_.below(able.size())], able.back());
    WorkerInfo& worker = *able.back();
    able.pop_back();
    worker.move_to = address;
    worker.move_asked_at = executor_.now();
    log_.info("worker is asked to move", {{"worker", worker.id}, {"to", address}});
    cut_short(worker.id);
  }
}

// ---- workers of siblings ----

void Service::acquire_for_sibling(const api::v1::AcquireRequest& request, Reply<Granted> reply) {
  if (is_draining_) return reply(Granted{});
  ShardHost::Acquire acquire;
  acquire.command.worker = request.worker();
  acquire.command.max = std::clamp<std::uint32_t>(request.max(), 1, limits::kLeaseMax);
  acquire.command.lease =
      request.lease_ms() == 0
          ? options_.lease
          : std::min<Duration>(milliseconds(static_cast<std::int64_t>(request.lease_ms())),
                               options_.seed_lease);
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
