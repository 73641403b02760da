// SPDX-License-Identifier: Apache-2.0
#include "store/log_segments.h"

#include <algorithm>
#include <filesystem>

namespace skep::store {
namespace {

// Where there is no room for a whole segment, one is as small as this part of it.
constexpr std::uint64_t kSmallestPart = 16;
// So many are kept whatever the store's size.
constexpr std::size_t kSparesMin = 2;

}  // namespace

Result<void> LogSegments::resume(const std::vector<SegmentName>& segments, std::uint64_t end) {
  for (const auto& segment : segments) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(segment.path, error);
    if (error) return fail(Code::kUnavailable, segment.path + ": " + error.message());
    sizes_[segment.number] = bytes;
    bytes_ += bytes;
  }
  current_ = segments.back().number;
  offset_ = end;
  SKEP_TRY(file_, options_.disk->open(segments.back().path, Access::kWrite));
  return ok();
}

Result<void> LogSegments::adopt_spares(const std::vector<SegmentName>& spares) {
  std::vector<SegmentName> surplus;
  for (const auto& spare : spares) {
    std::error_code error;
    const bool fits = std::filesystem::file_size(spare.path, error) == options_.segment_bytes && !error;
    if (fits) {
      spares_.push_back(spare);
    } else {
      surplus.push_back(spare);
    }
  }
  return remove(surplus);
}

Result<void> LogSegments::remove(const std::vector<SegmentName>& segments) {
  for (const auto& segment : segments) {
    SKEP_TRY(options_.disk->remove(segment.path));
  }
  if (segments.empty()) return ok();
  return options_.disk->sync_directory(options_.directory);
}

Result<std::shared_ptr<SegmentFile>> LogSegments::rename_spare(const std::string& path) {
  SKEP_TRY(options_.disk->rename(spares_.front().path, path));
  spares_.pop_front();
  auto file = options_.disk->open(path, Access::kWrite);
  if (!file) is_unsure_ = true;
  return file;
}

Result<std::shared_ptr<SegmentFile>> LogSegments::create(const std::string& path, std::uint64_t bytes) {
  auto file = options_.disk->create(path, std::max(bytes, options_.segment_bytes));
  for (std::uint64_t part = 2; !file && part <= kSmallestPart; part *= 2) {
    if (options_.segment_bytes / part < bytes) break;
    file = options_.disk->create(path, options_.segment_bytes / part);
  }
  return file;
}

// The name is durable before a byte of it is written: else a power loss could bring the old name back over
// new bytes.
Result<std::shared_ptr<SegmentFile>> LogSegments::make(std::uint32_t number, std::uint64_t bytes) {
  const std::string path = segment_path(options_.directory, number);
  const bool is_recycled = bytes <= options_.segment_bytes && !spares_.empty();
  auto file = is_recycled ? rename_spare(path) : create(path, bytes);
  if (!file) return file;
  if (auto synced = options_.disk->sync_directory(options_.directory); !synced) {
    is_unsure_ = true;
    return synced.error();
  }
  return file;
}

Result<void> LogSegments::prepare(std::uint64_t bytes) {
  if (next_ == nullptr) {
    SKEP_TRY(next_, make(current_ + 1, bytes));
  } else if (next_->bytes() < bytes) {
    return next_->allocate(bytes);
  }
  return ok();
}

void LogSegments::step() {
  ++current_;
  file_ = std::move(next_);
  next_ = nullptr;
  offset_ = 0;
  sizes_[current_] = file_->bytes();
  bytes_ += file_->bytes();
}

void LogSegments::let_die(std::uint32_t number, std::uint64_t sequence) {
  const auto dead = sizes_.find(number);
  dying_.push_back({{number, segment_path(options_.directory, number)}, dead->second, sequence});
  bytes_ -= dead->second;
  sizes_.erase(dead);
}

void LogSegments::recycle(std::uint64_t durable, UniqueFunction<void(std::uint32_t)> forget) {
  for (; !dying_.empty() && dying_.front().sequence <= durable; dying_.pop_front()) {
    const Dying& dead = dying_.front();
    forget(dead.name.number);
    if (dead.bytes == options_.segment_bytes) {
      spares_.push_back(dead.name);
    } else {
      remove_later(dead.name.path);
    }
  }
}

void LogSegments::trim(std::uint64_t bytes_max) {
  while (spares_.size() > kSparesMin && bytes_ + spares_.size() * options_.segment_bytes > bytes_max) {
    remove_later(spares_.back().path);
    spares_.pop_back();
  }
}

// One that can not be removed now is found as a spare at the next start.
void LogSegments::remove_later(const std::string& path) {
  if (options_.remove) return options_.remove(path);
  (void)options_.disk->remove(path);
}

}  // namespace skep::store
