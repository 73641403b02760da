// SPDX-License-Identifier: Apache-2.0
// log_segments.h - the segments that the log engine writes to: the current one, the next, and what becomes of
// the old.
//
// A segment is allocated as a whole before it is used, so a full disk is met between frames. One in which
// nothing is present dies, the oldest first; it is a spare as soon as a durable frame says that it is not
// needed, and the next segment is a spare under a new name, for bytes that were written before are cheaper to
// sync. What is too many of them goes, by a remover: that takes a disk long. Where the disk has no
// room for a segment, a smaller one is made.
//
// Threads:   one at a time.
// Errors:    kUnavailable: the disk is full or away. is_unsure(): nobody knows which files are there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "store/segment_disk.h"

namespace skep::store {

struct SegmentsOptions {
  std::string directory;
  std::shared_ptr<SegmentDisk> disk;
  std::uint64_t segment_bytes = 0;
  // Removes a file that does not count, now or later, as far as it can. Null: the disk does, at once.
  std::function<void(std::string path)> remove;
};

class LogSegments {
 public:
  explicit LogSegments(SegmentsOptions options) : options_(std::move(options)) {}

  // Goes on where the log ends. `segments`: those that count, the oldest first, of which the last is current.
  Result<void> resume(const std::vector<SegmentName>& segments, std::uint64_t end);
  // Files that are there and do not count: kept for later if they have the right size, else removed.
  Result<void> adopt_spares(const std::vector<SegmentName>& spares);
  // Removes files that must not be used as they are, durably.
  Result<void> remove(const std::vector<SegmentName>& segments);

  std::uint32_t current() const { return current_; }
  std::uint32_t oldest() const { return sizes_.empty() ? 1 : sizes_.begin()->first; }
  SegmentFile& file() { return *file_; }
  std::string path() const { return segment_path(options_.directory, current_); }
  std::uint64_t offset() const { return offset_; }
  void advance(std::uint64_t offset) { offset_ = offset; }
  bool has_room(std::uint64_t offset, std::uint64_t bytes) const {
    return file_ != nullptr && offset + bytes <= file_->bytes();
  }
  std::uint64_t unused() const {
    return file_ != nullptr && file_->bytes() > offset_ ? file_->bytes() - offset_ : 0;
  }
  bool is_half_full() const { return file_ == nullptr || offset_ >= file_->bytes() / 2; }
  std::uint64_t bytes() const { return bytes_; }  // of all that count
  bool is_unsure() const { return is_unsure_; }

  // Makes the next segment, with room for `bytes`. Success: step() may follow.
  Result<void> prepare(std::uint64_t bytes);
  bool is_prepared() const { return next_ != nullptr; }
  void step();

  // It is not needed any more, and the frame `sequence` says so.
  void let_die(std::uint32_t number, std::uint64_t sequence);
  // Makes spares of those whose frame is durable. `forget` hears of each before.
  void recycle(std::uint64_t durable, UniqueFunction<void(std::uint32_t)> forget);
  // Removes spares, as long as they and those that count have more than `bytes_max` together.
  void trim(std::uint64_t bytes_max);

 private:
  Result<std::shared_ptr<SegmentFile>> create(const std::string& path, std::uint64_t bytes);
  Result<std::shared_ptr<SegmentFile>> make(std::uint32_t number, std::uint64_t bytes);
  Result<std::shared_ptr<SegmentFile>> rename_spare(const std::string& path);
  void remove_later(const std::string& path);

  struct Dying {
    SegmentName name;
    std::uint64_t bytes = 0;
    std::uint64_t sequence = 0;
  };

  const SegmentsOptions options_;
  std::map<std::uint32_t, std::uint64_t> sizes_;  // by number, of those that count
  std::uint64_t bytes_ = 0;
  std::uint32_t current_ = 0;
  std::uint64_t offset_ = 0;  // where the last frame ended
  std::shared_ptr<SegmentFile> file_;
  std::shared_ptr<SegmentFile> next_;
  std::deque<Dying> dying_;
  std::deque<SegmentName> spares_;
  bool is_unsure_ = false;
};

}  // namespace skep::store
