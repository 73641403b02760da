// SPDX-License-Identifier: Apache-2.0
// log_collector.h - finds what is still present in a segment, a little at a time, so that it can be copied
// forward.
//
// Threads:   the one that writes.
// Errors:    kCorrupt: what is to be copied is damaged; kUnavailable: the disk can not be read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/log_frame.h"
#include "store/log_replay.h"
#include "store/log_view.h"

namespace skep::store {

class LogCollector {
 public:
  LogCollector(std::string directory, std::shared_ptr<SegmentDisk> disk, const FrameKey& key)
      : directory_(std::move(directory)), disk_(std::move(disk)), key_(key) {}

  // Puts present items of the segment into `out`, until about `budget` bytes were read or the segment is
  // through. What was put there must be written before the next call. Success: whether it is through.
  Result<bool> collect(std::uint32_t segment, std::uint64_t budget, LogView& view, FrameBuilder& out);

 private:
  Result<void> begin(std::uint32_t segment);
  Result<bool> next_frame();
  Result<void> collect_item(LogView& view, FrameBuilder& out);

  const std::string directory_;
  const std::shared_ptr<SegmentDisk> disk_;
  const FrameKey key_;

  std::uint32_t segment_ = 0;  // that is being read
  std::string path_;
  std::optional<FrameReader> reader_;
  std::uint64_t frame_ = 0;  // where the frame at hand begins
  std::uint64_t next_ = 0;   // where the next one does
  std::optional<std::uint64_t> sequence_;
  std::vector<FrameItem> items_;  // of the frame at hand
  std::size_t item_ = 0;          // the next of them
};

}  // namespace skep::store
