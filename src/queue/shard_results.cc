// SPDX-License-Identifier: Apache-2.0
// Pulling results, acknowledging them, and letting finished tasks go.
#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "queue/shard.h"

namespace skep::queue {

PullReply Shard::apply(const Pull& command, Instant now, Effects&) {
  PullReply reply;
  std::vector<TaskId> ids;
  std::uint64_t bytes = 0;
  while (reply.items.size() < command.max && bytes < command.bytes_max) {
    const auto best = first_undelivered(command.queue);
    if (!best) break;
    TaskRecord record = tasks_.at(std::get<TaskId>(*best));
    reply.items.push_back({record.id,
                           record.spec.queue,
                           record.finished_at,
                           {record.completion_epoch, record.completion},
                           record.result_bytes});
    ids.push_back(record.id);
    bytes += record.result_bytes;
    update(record, [&](TaskRecord& r) { in_delivery_[r.id] = next_receipt_; });
  }
  if (ids.empty()) return reply;
  reply.redelivered_at = add_saturated(now, command.visibility);
  reply.receipt = open_receipt(std::move(ids), reply.redelivered_at);
  return reply;
}

// The ids are in delivery under next_receipt_.
std::uint64_t Shard::open_receipt(std::vector<TaskId> ids, Instant until) {
  const std::uint64_t number = next_receipt_++;
  receipts_[number] = {std::move(ids), until};
  receipt_deadlines_.insert({until, number});
  return number;
}

WithholdReply Shard::apply(const Withhold& command, Instant, Effects&) {
  const auto found = receipts_.find(command.receipt);
  if (found == receipts_.end()) return {};
  std::vector<TaskId> withheld;
  std::erase_if(found->second.ids, [&](const TaskId& id) {
    const auto entry = in_delivery_.find(id);
    const bool is_ours = entry != in_delivery_.end() && entry->second == command.receipt;
    const bool is_named = std::find(command.ids.begin(), command.ids.end(), id) != command.ids.end();
    if (!is_ours || !is_named) return false;
    entry->second = next_receipt_;
    withheld.push_back(id);
    return true;
  });
  const WithholdReply reply{static_cast<std::uint32_t>(withheld.size())};
  // Under a receipt that nobody knows, until the time of this one.
  if (!withheld.empty()) open_receipt(std::move(withheld), found->second.until);
  return reply;
}

PutBackReply Shard::apply(const PutBack& command, Instant, Effects&) {
  const std::set<std::uint64_t> receipts(command.receipts.begin(), command.receipts.end());
  std::map<std::uint64_t, std::set<TaskId>> put_back;  // by receipt
  PutBackReply reply;
  for (const auto& id : command.ids) {
    const auto entry = in_delivery_.find(id);
    if (entry == in_delivery_.end() || !receipts.contains(entry->second)) continue;
    auto record = tasks_.get(id);
    if (!record) continue;
    put_back[entry->second].insert(id);
    update(*record, [&](TaskRecord& r) { in_delivery_.erase(r.id); });
    ++reply.put_back;
  }
  for (const auto& [number, ids] : put_back) {
    if (const auto found = receipts_.find(number); found != receipts_.end())
      std::erase_if(found->second.ids, [&unused = ids](const TaskId& id) { return unused.contains(id); });
  }
  return reply;
}

AckReply Shard::apply(const Ack& command, Instant now, Effects& effects) {
  AckReply reply;
  std::vector<TaskId> ids = command.ids;
  if (const auto found = receipts_.find(command.receipt); found != receipts_.end()) {
    ids.insert(ids.end(), found->second.ids.begin(), found->second.ids.end());
  }
  for (const auto& id : ids) {
    if (!tasks_.is_undelivered(id)) continue;
    deliver(tasks_.at(id), now, effects);
    reply.delivered.push_back(id);
  }
  if (command.receipt != 0) close_receipt(command.receipt);
  return reply;
}

void Shard::deliver(TaskRecord record, Instant now, Effects& effects) {
  update(record, [&](TaskRecord& r) {
    in_delivery_.erase(r.id);
    r.delivered_at = now;
  });
  ++totals_.delivered;
  put(std::move(record), effects, true);
}

void Shard::close_receipt(std::uint64_t number) {
  const auto found = receipts_.find(number);
  if (found == receipts_.end()) return;
  for (const auto& id : found->second.ids) {
    const auto entry = in_delivery_.find(id);
    if (entry == in_delivery_.end() || entry->second != number) continue;
    if (auto record = tasks_.get(id)) {
      update(*record, [&](TaskRecord& r) { in_delivery_.erase(r.id); });
    }
  }
  receipt_deadlines_.erase({found->second.until, number});
  receipts_.erase(found);
}

// A delivered result goes after its retention, or as soon as it decently can once there are too many bytes.
Instant Shard::next_trim(const Queue& queue) const {
  if (queue.delivered.empty()) return kNever;
  const bool is_full = queue.delivered_bytes > queue.settings.retention_bytes;
  const Duration kept = is_full ? kRetentionMin : std::max(queue.settings.retention, kRetentionMin);
  return add_saturated(queue.delivered.front().first, kept);
}

std::size_t Shard::trim_retention(Queue& queue, Instant now, std::size_t events_max, Effects& effects) {
  std::size_t gone = 0;
  for (; gone < events_max && next_trim(queue) <= now; ++gone) erase(queue.delivered.front().second, effects);
  return gone;
}

// Of one queue, or of all if it has no name.
std::optional<Shard::DoneKey> Shard::first_undelivered(const std::string& queue) const {
  std::optional<DoneKey> best;
  const auto consider = [&](const Queue& candidate) {
    if (candidate.undelivered.empty()) return;
    if (!best || candidate.undelivered.front() < *best) best = candidate.undelivered.front();
  };
  if (queue.empty()) {
    for (const auto& [name, candidate] : queues_) consider(candidate);
  } else if (const auto found = queues_.find(queue); found != queues_.end()) {
    consider(found->second);
  }
  return best;
}

std::optional<std::pair<Instant, TaskId>> Shard::oldest_undelivered(const std::string& queue) const {
  const auto first = first_undelivered(queue);
  if (!first) return std::nullopt;
  const TaskId id = std::get<TaskId>(*first);
  return std::pair(tasks_.at(id).finished_at, id);
}

}  // namespace skep::queue
