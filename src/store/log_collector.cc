// SPDX-License-Identifier: Apache-2.0
#include "store/log_collector.h"

#include <algorithm>

namespace skep::store {

Result<void> LogCollector::begin(std::uint32_t segment) {
  segment_ = 0;
  path_ = segment_path(directory_, segment);
  SKEP_TRY(auto file, disk_->open(path_, Access::kRead));
  reader_.emplace(std::move(file));
  next_ = 0;
  sequence_.reset();
  items_.clear();
  item_ = 0;
  segment_ = segment;
  return ok();
}

// Success: whether there is one.
Result<bool> LogCollector::next_frame() {
  SKEP_TRY(const auto bytes, reader_->view(next_, kFrameHeaderBytes));
  const auto seen = read_header(bytes, key_, segment_, sequence_);
  if (seen.sight != HeaderSight::kWhole) return false;
  SKEP_TRY(const auto list,
           reader_->view(next_ + kFrameHeaderBytes, std::uint64_t{seen.header.items} * kItemHeadBytes));
  auto items = read_heads(list, seen.header, key_);
  if (!items) return damage_at(path_, next_, items.error().message);
  items_ = std::move(items.value());
  // In the order in which they lie there. Each is the only one that is present of its kind and task, so that
  // the order of the copies means nothing.
  std::sort(items_.begin(), items_.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  item_ = 0;
  frame_ = next_;
  next_ = frame_start(next_ + seen.header.bytes);
  sequence_ = seen.header.sequence + 1;
  return true;
}

Result<void> LogCollector::collect_item(LogView& view, FrameBuilder& out) {
  const ItemHead& head = items_[item_].head;
  const Place place = place_of(segment_, frame_, items_[item_]);
  if (view.with([&](LogIndex& index) { return index.is_present(head, place); })) {
    SKEP_TRY(const auto stored, reader_->view(place.offset, head.length));
    // Damage is not to be copied: at its new place it would look like the torn end of the log.
    if (auto checked = check_item(head, stored); !checked) {
      return damage_at(path_, place.offset, checked.error().message);
    }
    out.put_stored(head, stored);
  }
  ++item_;
  return ok();
}

Result<bool> LogCollector::collect(std::uint32_t segment, std::uint64_t budget, LogView& view,
                                   FrameBuilder& out) {
  if (segment_ != segment) {
    SKEP_TRY(begin(segment));
  }
  for (std::uint64_t spent = 0; spent < budget;) {
    if (item_ == items_.size()) {
      SKEP_TRY(const bool is_there, next_frame());
      if (!is_there) return true;
      spent += kFrameHeaderBytes + items_.size() * kItemHeadBytes;
      continue;
    }
    const std::uint64_t before = out.bytes();
    SKEP_TRY(collect_item(view, out));
    spent += out.bytes() - before;
  }
  return false;
}

}  // namespace skep::store
