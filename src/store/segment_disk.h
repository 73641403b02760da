// SPDX-License-Identifier: Apache-2.0
// segment_disk.h - the files of the log engine: what it asks of a disk, and the machine's disk.
//
// A seam, so that tests can take the power away, tear a write or fail a sync (testing/faulty_segment_disk.h).
//
// Threads:   any thread; writes of one file one at a time.
// Errors:    kUnavailable (disk full, I/O error), kInvalid (missing file, no permission); each names the
//            path.
// Ownership: a file may outlive its disk, and is still readable under its old handle after rename or remove.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep::store {

class SegmentFile {
 public:
  virtual ~SegmentFile() = default;

  // Writes all pieces, one after the other. After an error any part of them may be written. The pieces are
  // used up.
  virtual Result<void> write(std::uint64_t offset, std::span<iovec> pieces) = 0;
  // Puts what was written on stable storage. After an error nobody knows what is there.
  virtual Result<void> sync() = 0;
  // Fills the pieces, which are used up. Success: the bytes read, fewer only where the file ends.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<iovec> pieces) const = 0;
  // Makes room for `bytes` in all. After an error the file is as it was, or longer.
  virtual Result<void> allocate(std::uint64_t bytes) = 0;
  virtual std::uint64_t bytes() const = 0;
};

enum class Access : std::uint8_t { kRead, kWrite };

class SegmentDisk {
 public:
  virtual ~SegmentDisk() = default;

  // A new file with room for `bytes`. After an error there is none.
  virtual Result<std::shared_ptr<SegmentFile>> create(const std::string& path, std::uint64_t bytes) = 0;
  virtual Result<std::shared_ptr<SegmentFile>> open(const std::string& path, Access access) = 0;
  // Durable only after sync_directory().
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> sync_directory(const std::string& directory) = 0;
};

std::shared_ptr<SegmentDisk> machine_disk();

// A segment and its number: "DIRECTORY/0000000012.segment".
struct SegmentName {
  std::uint32_t number = 0;
  std::string path;
};
std::string segment_path(const std::string& directory, std::uint32_t number);
// Those in the directory, by number.
Result<std::vector<SegmentName>> list_segments(const std::string& directory);

}  // namespace skep::store
