// SPDX-License-Identifier: Apache-2.0
#include "store/log_index.h"

#include "base/check.h"
#include "task/record.h"

namespace skep::store {
namespace {

// What an item takes, its head included: an epoch carries nothing, and is present all the same.
std::uint64_t bytes_of(const Place& place) {
  return place.length + kItemHeadBytes;
}

Place TaskPlaces::*part_of(ItemKind kind) {
  if (kind == ItemKind::kTask) return &TaskPlaces::record;
  return kind == ItemKind::kBody ? &TaskPlaces::body : &TaskPlaces::result;
}

}  // namespace

void LiveBytes::add(std::uint32_t segment, std::uint64_t bytes) {
  if (segment < first_ || bytes_.empty()) {
    bytes_.insert(bytes_.begin(), bytes_.empty() ? 1 : first_ - segment, 0);
    first_ = segment;
  }
  if (segment - first_ >= bytes_.size()) bytes_.resize(segment - first_ + 1);
  bytes_[segment - first_] += bytes;
  total_ += bytes;
}

void LiveBytes::take(std::uint32_t segment, std::uint64_t bytes) {
  SKEP_CHECK(of(segment) >= bytes, "no more of a segment is removed than was put there");
  bytes_[segment - first_] -= bytes;
  total_ -= bytes;
}

std::uint64_t LiveBytes::of(std::uint32_t segment) const {
  const bool is_known = segment >= first_ && segment - first_ < bytes_.size();
  return is_known ? bytes_[segment - first_] : 0;
}

void LiveBytes::forget_before(std::uint32_t first) {
  for (; first_ < first && !bytes_.empty(); ++first_) bytes_.pop_front();
}

TaskPlaces* LogIndex::find_mutable(const TaskId& id) {
  const PageKey key{id.shard, id.epoch, id.sequence / kPageTasks};
  if (last_ == pages_.end() || last_->first != key) last_ = pages_.find(key);
  return last_ == pages_.end() ? nullptr : &last_->second.tasks[id.sequence % kPageTasks];
}

TaskPlaces& LogIndex::find_or_add(const TaskId& id) {
  TaskPlaces* places = find_mutable(id);
  if (places == nullptr) {
    last_ = pages_.try_emplace({id.shard, id.epoch, id.sequence / kPageTasks}).first;
    places = &last_->second.tasks[id.sequence % kPageTasks];
  }
  if (places->is_empty()) {
    ++last_->second.used;
    ++task_count_;
  }
  return *places;
}

void LogIndex::drop_if_empty(const TaskId& id, TaskPlaces& places) {
  if (!places.is_empty()) return;
  --task_count_;
  SKEP_CHECK(last_ != pages_.end() && last_->first.number == id.sequence / kPageTasks, "the page is at hand");
  if (--last_->second.used > 0) return;
  pages_.erase(last_);
  last_ = pages_.end();
}

void LogIndex::replace(Place& old, const Place& place) {
  if (old) live_.take(old.segment, bytes_of(old));
  old = place;
  if (place) live_.add(place.segment, bytes_of(place));
}

Result<void> LogIndex::apply_queue(const ItemHead& head, const Place& place, std::string_view stored) {
  auto record = decode_queue(stored);
  if (!record) return with_context(record.error(), describe_item(head));
  Queue& queue = queues_[{head.id.shard, record.value().name}];
  replace(queue.place, place);
  queue.stored = stored;
  return ok();
}

Result<void> LogIndex::apply(const ItemHead& head, const Place& place, std::string_view stored) {
  if (head.id.shard >= epochs_.size()) {
    return fail(Code::kCorrupt, describe_item(head) + ": there is no such shard");
  }
  switch (head.kind) {
    case ItemKind::kQueue:
      return apply_queue(head, place, stored);
    case ItemKind::kEpoch:
      replace(epochs_[head.id.shard].place, place);
      epochs_[head.id.shard].epoch = head.id.epoch;
      return ok();
    case ItemKind::kTask:
    case ItemKind::kBody:
    case ItemKind::kResult:
      replace(find_or_add(head.id).*part_of(head.kind), place);
      return ok();
    case ItemKind::kEraseBody:
    case ItemKind::kEraseTask:
      break;
  }
  TaskPlaces* places = find_mutable(head.id);
  if (places == nullptr || places->is_empty()) return ok();
  replace(places->body, {});
  if (head.kind == ItemKind::kEraseTask) {
    replace(places->record, {});
    replace(places->result, {});
  }
  drop_if_empty(head.id, *places);
  return ok();
}

TaskPlaces LogIndex::find(const TaskId& id) const {
  const auto found = pages_.find({id.shard, id.epoch, id.sequence / kPageTasks});
  return found == pages_.end() ? TaskPlaces() : found->second.tasks[id.sequence % kPageTasks];
}

Place LogIndex::find(const BlobKey& key) const {
  const TaskPlaces places = find(key.task);
  return key.kind == BlobKind::kBody ? places.body : places.result;
}

bool LogIndex::is_present(const ItemHead& head, const Place& place) const {
  if (head.id.shard >= epochs_.size()) return false;
  if (head.kind == ItemKind::kEpoch) return epochs_[head.id.shard].place == place;
  if (head.kind == ItemKind::kEraseBody || head.kind == ItemKind::kEraseTask) return false;
  if (head.kind != ItemKind::kQueue) return find(head.id).*part_of(head.kind) == place;
  for (auto at = queues_.lower_bound({head.id.shard, {}});
       at != queues_.end() && at->first.first == head.id.shard; ++at) {
    if (at->second.place == place) return true;
  }
  return false;
}

std::vector<std::string> LogIndex::queues(ShardId shard) const {
  std::vector<std::string> stored;
  for (auto at = queues_.lower_bound({shard, {}}); at != queues_.end() && at->first.first == shard; ++at) {
    stored.push_back(at->second.stored);
  }
  return stored;
}

std::vector<std::pair<TaskId, TaskPlaces>> LogIndex::tasks_after(ShardId shard, const TaskId* after,
                                                                 std::size_t count) const {
  std::vector<std::pair<TaskId, TaskPlaces>> found;
  auto at = pages_.lower_bound(after == nullptr ? PageKey{shard, 0, 0}
                                                : PageKey{shard, after->epoch, after->sequence / kPageTasks});
  for (; at != pages_.end() && at->first.shard == shard && found.size() < count; ++at) {
    for (std::uint64_t i = 0; i < kPageTasks && found.size() < count; ++i) {
      const TaskId id{shard, at->first.epoch, at->first.number * kPageTasks + i};
      const TaskPlaces& places = at->second.tasks[i];
      if (!places.is_empty() && (after == nullptr || id > *after)) found.emplace_back(id, places);
    }
  }
  return found;
}

}  // namespace skep::store
