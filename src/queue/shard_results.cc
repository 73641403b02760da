// SPDX-License-Identifier: Apache-2.0
// Pulling results, acknowledging them, and letting finished tasks go.
#include <algorithm>

#include "base/check.h"
#include "queue/shard.h"

namespace skep::queue {

PullReply Shard::apply(const Pull& command, Instant now, Effects&) {
  PullReply reply;
  std::vector<TaskId> ids;
  std::uint64_t bytes = 0;
  while (reply.items.size() < command.max && bytes < command.bytes_max) {
    const DoneKey* best = nullptr;
    if (command.queue.empty()) {
      for (const auto& [name, queue] : queues_) {
        if (queue.undelivered.empty()) continue;
        if (best == nullptr || *queue.undelivered.begin() < *best) best = &*queue.undelivered.begin();
      }
    } else if (const auto found = queues_.find(command.queue); found != queues_.end()) {
      if (!found->second.undelivered.empty()) best = &*found->second.undelivered.begin();
    }
    if (best == nullptr) break;
    TaskRecord& record = tasks_.at(std::get<TaskId>(*best));
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

AckReply Shard::apply(const Ack& command, Instant now, Effects& effects) {
  AckReply reply;
  std::vector<TaskId> ids = command.ids;
  if (const auto found = receipts_.find(command.receipt); found != receipts_.end()) {
    ids.insert(ids.end(), found->second.ids.begin(), found->second.ids.end());
  }
  for (const auto& id : ids) {
    TaskRecord* record = find_task(id);
    if (record == nullptr || record->state != TaskState::kDone || record->delivered_at != kNoInstant)
      continue;
    deliver(*record, now, effects);
    ++reply.acknowledged;
  }
  if (command.receipt != 0) close_receipt(command.receipt);
  return reply;
}

void Shard::deliver(TaskRecord& record, Instant now, Effects& effects) {
  update(record, [&](TaskRecord& r) {
    in_delivery_.erase(r.id);
    r.delivered_at = now;
  });
  ++totals_.delivered;
  put(record, effects, true);
}

void Shard::close_receipt(std::uint64_t number) {
  const auto found = receipts_.find(number);
  if (found == receipts_.end()) return;
  for (const auto& id : found->second.ids) {
    const auto entry = in_delivery_.find(id);
    if (entry == in_delivery_.end() || entry->second != number) continue;
    if (TaskRecord* record = find_task(id)) {
      update(*record, [&](TaskRecord& r) { in_delivery_.erase(r.id); });
    }
  }
  receipt_deadlines_.erase({found->second.until, number});
  receipts_.erase(found);
}

Instant Shard::next_trim(const Queue& queue) const {
  if (queue.delivered_bytes <= queue.settings.retention_bytes || queue.delivered.empty()) return kNever;
  return add_saturated(queue.delivered.begin()->first, kRetentionMin);
}

void Shard::trim_retention(Queue& queue, Instant now, Effects& effects) {
  while (next_trim(queue) <= now) erase(queue.delivered.begin()->second, effects);
}

std::optional<std::pair<Instant, TaskId>> Shard::oldest_undelivered(const std::string& queue) const {
  const DoneKey* best = nullptr;
  for (const auto& [name, candidate] : queues_) {
    if ((!queue.empty() && name != queue) || candidate.undelivered.empty()) continue;
    if (best == nullptr || *candidate.undelivered.begin() < *best) best = &*candidate.undelivered.begin();
  }
  if (best == nullptr) return std::nullopt;
  const TaskId id = std::get<TaskId>(*best);
  return std::pair(tasks_.at(id).finished_at, id);
}

}  // namespace skep::queue
