// SPDX-License-Identifier: Apache-2.0
// log_view.h - the log as readers see it: the index behind its lock, and the segments opened for reading.
//
// What is read is checked. A segment may be recycled while it is read; then its bytes do not match, and the
// index has another place for them by then: that one is read instead. What does not match at its present
// place is damage.
//
// Threads:   any thread.
// Errors:    kCorrupt names the task and the file; kUnavailable: the disk can not be read, or it is closed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/log_index.h"
#include "store/segment_disk.h"
#include "store/store.h"
#include "store/store_pool.h"

namespace skep::store {

class LogView {
 public:
  LogView(std::string directory, std::shared_ptr<SegmentDisk> disk)
      : directory_(std::move(directory)), disk_(std::move(disk)) {}

  // Uses the index under its lock. There must be one.
  template <class Use>
  auto with(Use use) {
    return index_.with([&](std::unique_ptr<LogIndex>& index) { return use(*index); });
  }
  // Takes another index; null: it is closed.
  void replace(std::unique_ptr<LogIndex> index);
  // A segment is to be recycled: its file under this number is another one from now on.
  void forget(std::uint32_t segment);

  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys);
  Result<void> load(ShardId shard, RecordSink& sink);
  // Of a task that the index has a record of.
  Result<TaskRecord> read_record(const TaskId& id);

 private:
  using Tasks = std::vector<std::pair<TaskId, TaskPlaces>>;

  Error gone() const;
  Result<std::shared_ptr<SegmentFile>> file(std::uint32_t segment);
  Result<std::string> stored_at(const Place& place);
  Result<Blob> read_blob(const BlobKey& key);
  Result<Blob> blob_at(const BlobKey& key, const Place& place);
  Result<TaskRecord> record_at(const TaskId& id, const Place& place, std::string_view stored) const;
  Result<std::vector<TaskRecord>> read_records(const Tasks& tasks);
  Error located(const Error& error, const std::string& what, const Place& place) const;

  const std::string directory_;
  const std::shared_ptr<SegmentDisk> disk_;
  Guarded<std::unique_ptr<LogIndex>> index_;
  Guarded<std::map<std::uint32_t, std::shared_ptr<SegmentFile>>> files_;
};

}  // namespace skep::store
