// SPDX-License-Identifier: Apache-2.0
// log_replay.h - reads the log engine's segments from the oldest frame that counts to the newest, and tells a
// torn end from damage.
//
// Each frame carries a voucher: up to which frame everything was durable when it was made. What can not be
// read and somebody vouches for is damage; so is a header that is right in part, for a sector is written or
// not. Else it is the torn end of what nobody was promised, and the log ends before it. A segment is begun
// only when all before it is durable, and its first frame's sequence says where the one before it ended, so
// only the newest can be torn.
//
// Threads:   any thread; blocks.
// Errors:    kCorrupt names the file and the place; kUnavailable: the disk can not be read.
// Cost:      reads headers and lists of items; what items carry only in frames that nobody vouches for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "store/log_frame.h"
#include "store/log_scan.h"
#include "store/segment_disk.h"

namespace skep::store {

// A segment read through a window, so that small frames in a row cost one call.
class FrameReader {
 public:
  explicit FrameReader(std::shared_ptr<const SegmentFile> file) : file_(std::move(file)) {}

  // The bytes there, fewer only where the file ends; until the next call.
  Result<std::string_view> view(std::uint64_t offset, std::uint64_t length);
  std::uint64_t file_bytes() const { return file_->bytes(); }

 private:
  std::shared_ptr<const SegmentFile> file_;
  std::string window_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
};

struct FrameAt {
  std::uint32_t segment = 0;
  const std::string& path;
  std::uint64_t offset = 0;
  const FrameHeader& header;
  const std::vector<FrameItem>& items;
  bool is_promised = false;  // a later frame vouches for it
  FrameReader& reader;

  // For who wants all that the items carry, in whatever order: reads the frame at once.
  Result<void> fetch() const {
    SKEP_TRY(reader.view(offset, header.bytes));
    return ok();
  }
  Result<std::string_view> stored(const FrameItem& item) const {
    return reader.view(offset + item.at, item.head.length);
  }
};

struct ReplayOptions {
  std::string directory;
  std::shared_ptr<SegmentDisk> disk;
  FrameKey key;
  bool was_sealed = false;  // closed cleanly: it ends with a frame that says so
  UniqueFunction<Result<void>(const FrameAt&)> on_frame;
  // Null: the first damage ends the reading. Else it gets each, and what can be read around it follows.
  UniqueFunction<void(const Error&)> on_damage;
};

struct ReplayedSegment {
  SegmentName name;
  std::uint64_t first = 0;  // sequence of its first frame
  std::uint64_t end = 0;    // where the next frame would begin
};

struct Replay {
  std::vector<ReplayedSegment> segments;  // those that count, the oldest first
  std::vector<SegmentName> spares;        // not needed, once what counts now is durable
  std::vector<SegmentName> blanks;        // newer: nothing counts that may be in them
  std::uint64_t last_sequence = 0;
  std::uint64_t voucher = 0;  // frames after this one are whole, and nobody vouches for them
  std::uint32_t frames_in_last = 0;
  std::vector<LogCut> torn;
};

Result<Replay> replay_log(ReplayOptions options);

// Where in a frame that begins at `offset` something is wrong: "FILE: byte N: WHAT".
Error damage_at(const std::string& path, std::uint64_t offset, const std::string& what);

}  // namespace skep::store
