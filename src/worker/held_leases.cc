// SPDX-License-Identifier: Apache-2.0
#include "worker/held_leases.h"

#include <algorithm>
#include <utility>

#include "task/trace_context.h"

namespace skep::worker {
namespace {

std::size_t size_of(const api::v1::Outcome& outcome) {
  return outcome.lease().size() + outcome.result().size() + outcome.error().size();
}

template <class Sequence>
void erase_first(Sequence& sequence, const std::string& value) {
  const auto found = std::find(sequence.begin(), sequence.end(), value);
  if (found != sequence.end()) sequence.erase(found);
}

}  // namespace

bool HeldLeases::accept(api::v1::Lease lease) {
  if (lease.lease().empty()) return false;
  const std::string name = lease.lease();
  const auto [place, is_new] = held_.try_emplace(name);
  if (!is_new) return false;
  Held& held = place->second;
  held.pool = pool_of(lease);
  held.can_resume = lease.keep_checkpoints() && held.pool == Pool::kLanes;
  held.trace_id = parse_trace_context(lease.traceparent(), {}).trace_id();
  held.lease = std::move(lease);
  part(held.pool).waiting.push_back(name);
  return true;
}

std::optional<api::v1::Lease> HeldLeases::start_next(Pool pool) {
  auto& [waiting, running] = part(pool);
  if (waiting.empty()) return std::nullopt;
  Held& held = held_.at(waiting.front());
  waiting.pop_front();
  held.stage = Stage::kRunning;
  ++running;
  return std::exchange(held.lease, {});
}

std::string_view HeldLeases::trace_id(const std::string& lease) const {
  const auto place = held_.find(lease);
  return place == held_.end() ? std::string_view() : std::string_view(place->second.trace_id);
}

bool HeldLeases::Held::is_returnable(bool is_resumable_only) const {
  return stage == Stage::kRunning && !is_asked_back && (can_resume || !is_resumable_only);
}

std::vector<std::string> HeldLeases::ask_back(bool is_resumable_only) {
  std::vector<std::string> names;
  for (auto& [lease, held] : held_) {
    if (!held.is_returnable(is_resumable_only)) continue;
    held.is_asked_back = true;
    names.push_back(lease);
  }
  return names;
}

bool HeldLeases::can_ask_back(bool is_resumable_only) const {
  return std::any_of(held_.begin(), held_.end(),
                     [&](const auto& item) { return item.second.is_returnable(is_resumable_only); });
}

std::vector<std::string> HeldLeases::running_leases(Pool pool) const {
  std::vector<std::string> names;
  for (const auto& [lease, held] : held_) {
    if (held.stage == Stage::kRunning && held.pool == pool) names.push_back(lease);
  }
  return names;
}

bool HeldLeases::is_asked_back(const std::string& lease) const {
  const auto place = held_.find(lease);
  return place != held_.end() && place->second.stage == Stage::kRunning && place->second.is_asked_back;
}

std::optional<Pool> HeldLeases::finish(api::v1::Outcome outcome) {
  const auto place = held_.find(outcome.lease());
  if (place == held_.end() || place->second.stage != Stage::kRunning) return std::nullopt;
  --part(place->second.pool).running;
  outcome_bytes_ += size_of(outcome);
  place->second.stage = Stage::kFinished;
  finished_.push_back(outcome.lease());
  place->second.outcome = std::move(outcome);
  return place->second.pool;
}

std::vector<api::v1::Outcome> HeldLeases::take_batch(std::size_t count_max, std::size_t bytes_max) {
  std::vector<api::v1::Outcome> batch;
  std::size_t bytes = 0;
  while (!finished_.empty() && batch.size() < count_max) {
    Held& held = held_.at(finished_.front());
    bytes += size_of(held.outcome);
    if (!batch.empty() && bytes > bytes_max) break;
    held.stage = Stage::kDelivering;
    batch.push_back(held.outcome);
    delivering_.push_back(std::move(finished_.front()));
    finished_.pop_front();
  }
  return batch;
}

void HeldLeases::put_back() {
  for (const auto& lease : delivering_) held_.at(lease).stage = Stage::kFinished;
  finished_.insert(finished_.begin(), delivering_.begin(), delivering_.end());
  delivering_.clear();
}

void HeldLeases::forget_delivering() {
  const std::vector<std::string> leases = delivering_;
  for (const auto& lease : leases) forget(lease);
}

std::optional<HeldLeases::Stage> HeldLeases::stage(const std::string& lease) const {
  const auto place = held_.find(lease);
  return place == held_.end() ? std::nullopt : std::optional(place->second.stage);
}

void HeldLeases::forget(const std::string& lease) {
  const auto place = held_.find(lease);
  if (place == held_.end()) return;
  switch (place->second.stage) {
    case Stage::kWaiting:
      erase_first(part(place->second.pool).waiting, lease);
      break;
    case Stage::kRunning:
      --part(place->second.pool).running;
      break;
    case Stage::kFinished:
      erase_first(finished_, lease);
      break;
    case Stage::kDelivering:
      erase_first(delivering_, lease);
      break;
  }
  outcome_bytes_ -= place->second.outcome.lease().empty() ? 0 : size_of(place->second.outcome);
  held_.erase(place);
}

void HeldLeases::mark_lost(const std::string& lease) {
  const auto place = held_.find(lease);
  if (place != held_.end()) place->second.is_lost = true;
}

std::vector<std::string> HeldLeases::take_newest_waiting(Pool pool, std::size_t count) {
  auto& waiting = part(pool).waiting;
  const auto kept = static_cast<std::ptrdiff_t>(waiting.size() - std::min(count, waiting.size()));
  std::vector<std::string> leases(waiting.begin() + kept, waiting.end());
  waiting.erase(waiting.begin() + kept, waiting.end());
  for (const auto& lease : leases) held_.erase(lease);
  return leases;
}

std::vector<std::string> HeldLeases::take_waiting() {
  std::vector<std::string> leases;
  for (auto& [waiting, running] : parts_) {
    leases.insert(leases.end(), waiting.begin(), waiting.end());
    waiting.clear();
  }
  for (const auto& lease : leases) held_.erase(lease);
  return leases;
}

std::vector<std::string> HeldLeases::take_running() {
  std::vector<std::string> leases;
  for (const auto& [lease, held] : held_) {
    if (held.stage == Stage::kRunning) leases.push_back(lease);
  }
  for (const auto& lease : leases) held_.erase(lease);
  for (auto& pool : parts_) pool.running = 0;
  return leases;
}

void HeldLeases::list(api::v1::HeartbeatRequest& request) const {
  for (const auto& [lease, held] : held_) {
    if (held.is_lost) continue;
    auto& item = *request.add_leases();
    item.set_lease(lease);
    item.set_started(held.stage != Stage::kWaiting);
  }
}

}  // namespace skep::worker
