// SPDX-License-Identifier: Apache-2.0
#include "manager/body_cache.h"

#include <utility>

namespace skep::manager {
namespace {

constexpr std::size_t kSlack = 64;  // entries without a body that are not worth a walk

}  // namespace

void BodyCache::add(const TaskId& id, Blob body) {
  bytes_ += size_of(body);
  bodies_.emplace(id, std::move(body));
  order_.push_back({id, added_++});
}

void BodyCache::forget(const TaskId& id) {
  const auto found = bodies_.find(id);
  if (found == bodies_.end()) return;
  bytes_ -= size_of(found->second);
  bodies_.erase(found);
  while (!order_.empty() && !bodies_.contains(order_.front().id)) order_.pop_front();
  if (order_.size() > 2 * bodies_.size() + kSlack)
    std::erase_if(order_, [this](const Entry& entry) { return !bodies_.contains(entry.id); });
}

void BodyCache::clear() {
  bodies_.clear();
  order_.clear();
  settled_ = added_;
  bytes_ = 0;
}

BodyCache::Blob BodyCache::find(const TaskId& id) const {
  const auto found = bodies_.find(id);
  return found == bodies_.end() ? nullptr : found->second;
}

void BodyCache::settle(std::uint64_t mark) {
  settled_ = mark;
  while (bytes_ > bytes_max_ && !order_.empty() && order_.front().number < settled_) {
    const TaskId id = order_.front().id;
    order_.pop_front();
    const auto found = bodies_.find(id);
    if (found == bodies_.end()) continue;
    bytes_ -= size_of(found->second);
    bodies_.erase(found);
  }
}

}  // namespace skep::manager
