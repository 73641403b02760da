// SPDX-License-Identifier: Apache-2.0
#include "store/log_view.h"

#include <algorithm>
#include <optional>

#include "task/record.h"

namespace skep::store {
namespace {

constexpr std::size_t kOpenFilesMax = 256;
// Records are read in the order of their places and handed over in that of their ids, so many at a time.
constexpr std::size_t kWindowTasks = 2'048;
// Neighbours are read with what lies between them, where that is little.
constexpr std::uint64_t kGapBytesMax = std::uint64_t{16} << 10;
constexpr std::uint64_t kRunBytesMax = std::uint64_t{1} << 20;

bool is_before(const Place& a, const Place& b) {
  return std::pair(a.segment, a.offset) < std::pair(b.segment, b.offset);
}

std::string name_of(const BlobKey& key) {
  return (key.kind == BlobKind::kBody ? "body of task " : "result of task ") + key.task.to_string();
}

}  // namespace

void LogView::replace(std::unique_ptr<LogIndex> index) {
  index_.with([&](std::unique_ptr<LogIndex>& present) { std::swap(present, index); });
  files_.with([](auto& files) { files.clear(); });
}

void LogView::forget(std::uint32_t segment) {
  files_.with([&](auto& files) { files.erase(segment); });
}

Error LogView::gone() const {
  return fail(Code::kUnavailable, "the store in " + directory_ + " is closed");
}

Error LogView::located(const Error& error, const std::string& what, const Place& place) const {
  // A segment that the index names and that is gone will not come back by waiting.
  const Code code = error.code == Code::kInvalid ? Code::kCorrupt : error.code;
  return fail(code, what + ", " + segment_path(directory_, place.segment) + " byte " +
                        std::to_string(place.offset) + ": " + error.message);
}

Result<std::shared_ptr<SegmentFile>> LogView::file(std::uint32_t segment) {
  using Found = std::shared_ptr<SegmentFile>;
  auto found = files_.with([&](auto& files) {
    const auto at = files.find(segment);
    return at == files.end() ? Found() : at->second;
  });
  if (found) return found;
  SKEP_TRY(found, disk_->open(segment_path(directory_, segment), Access::kRead));
  files_.with([&](auto& files) {
    if (files.size() >= kOpenFilesMax) files.erase(files.begin());
    files[segment] = found;
  });
  return found;
}

// ---- blobs ----

Result<Blob> LogView::blob_at(const BlobKey& key, const Place& place) {
  if (place.length < kBlobFrameBytes) return fail(Code::kCorrupt, "it is cut off");
  SKEP_TRY(const auto from, file(place.segment));
  // Version and checksum go beside the bytes, so that these are read to where they stay.
  auto bytes = std::make_shared<std::string>(place.length - kBlobFrameBytes, '\0');
  char version = 0;
  std::string checksum(kBlobFrameBytes - 1, '\0');
  iovec pieces[] = {{&version, 1}, {bytes->data(), bytes->size()}, {checksum.data(), checksum.size()}};
  SKEP_TRY(const auto filled, from->read(place.offset, pieces));
  std::string expected;
  for (std::size_t i = 0; i < checksum.size(); ++i) {
    expected.push_back(static_cast<char>(blob_checksum(key.task, *bytes) >> (8 * i)));
  }
  if (filled != place.length || version != static_cast<char>(kBlobVersion) || checksum != expected) {
    return fail(Code::kCorrupt, "its checksum does not match");
  }
  return Blob(std::move(bytes));
}

Result<Blob> LogView::read_blob(const BlobKey& key) {
  for (;;) {
    const auto look = [&] {
      return index_.with([&](std::unique_ptr<LogIndex>& index) {
        return index ? std::optional(index->find(key)) : std::optional<Place>();
      });
    };
    const auto place = look();
    if (!place) return gone();
    if (!*place) return Blob();
    auto blob = blob_at(key, *place);
    if (blob) return blob;
    if (look() == place) return located(blob.error(), name_of(key), *place);
  }
}

Result<std::vector<Blob>> LogView::read(const std::vector<BlobKey>& keys) {
  std::vector<Blob> blobs;
  blobs.reserve(keys.size());
  for (const auto& key : keys) {
    SKEP_TRY(auto blob, read_blob(key));
    blobs.push_back(std::move(blob));
  }
  return blobs;
}

// ---- records ----

Result<std::string> LogView::stored_at(const Place& place) {
  SKEP_TRY(const auto from, file(place.segment));
  std::string stored(place.length, '\0');
  iovec piece{stored.data(), stored.size()};
  SKEP_TRY(const auto filled, from->read(place.offset, {&piece, 1}));
  stored.resize(filled);
  return stored;
}

Result<TaskRecord> LogView::record_at(const TaskId& id, const Place& place, std::string_view stored) const {
  auto record = decode_task(stored);
  if (!record) return located(record.error(), "task " + id.to_string(), place);
  if (record.value().id != id) {
    return located(fail(Code::kCorrupt, "the record is of another task"), "task " + id.to_string(), place);
  }
  return record;
}

// Alone: where reading many together did not find it.
Result<TaskRecord> LogView::read_record(const TaskId& id) {
  for (;;) {
    const Place place = with([&](LogIndex& index) { return index.find(id).record; });
    auto stored = stored_at(place);
    auto record = stored ? record_at(id, place, stored.value())
                         : Result<TaskRecord>(located(stored.error(), "task " + id.to_string(), place));
    if (record || with([&](LogIndex& index) { return index.find(id).record; }) == place) return record;
  }
}

Result<std::vector<TaskRecord>> LogView::read_records(const Tasks& tasks) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tasks.size(); ++i) order.push_back(i);
  const auto place = [&](std::size_t i) -> const Place& { return tasks[order[i]].second.record; };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return is_before(tasks[a].second.record, tasks[b].second.record);
  });
  std::vector<TaskRecord> records(tasks.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    Place run = place(begin);
    std::uint64_t stop = std::uint64_t{run.offset} + run.length;
    for (end = begin + 1; end < order.size(); ++end) {
      const Place& next = place(end);
      if (next.segment != run.segment || next.offset > stop + kGapBytesMax ||
          next.offset + std::uint64_t{next.length} > run.offset + kRunBytesMax) {
        break;
      }
      stop = std::max(stop, next.offset + std::uint64_t{next.length});
    }
    run.length = static_cast<std::uint32_t>(stop - run.offset);
    const auto stored = stored_at(run);
    for (std::size_t i = begin; i < end; ++i) {
      const TaskId& id = tasks[order[i]].first;
      const std::size_t at = place(i).offset - run.offset;
      auto record =
          stored && at <= stored.value().size()
              ? record_at(id, place(i), std::string_view(stored.value()).substr(at, place(i).length))
              : Result<TaskRecord>(fail(Code::kCorrupt, "it is not there"));
      if (!record) record = read_record(id);
      SKEP_TRY(records[order[i]], std::move(record));
    }
  }
  return records;
}

Result<void> LogView::load(ShardId shard, RecordSink& sink) {
  const auto queues = index_.with([&](std::unique_ptr<LogIndex>& index) {
    return index ? std::optional(index->queues(shard)) : std::optional<std::vector<std::string>>();
  });
  if (!queues) return gone();
  for (const auto& stored : *queues) {
    SKEP_TRY(auto record, decode_queue(stored));
    sink.on_queue(std::move(record));
  }
  std::optional<TaskId> last;
  for (;;) {
    auto tasks = with(
        [&](LogIndex& index) { return index.tasks_after(shard, last ? &*last : nullptr, kWindowTasks); });
    if (tasks.empty()) return ok();
    last = tasks.back().first;
    std::erase_if(tasks, [](const auto& task) { return !task.second.record; });
    SKEP_TRY(auto records, read_records(tasks));
    for (auto& record : records) sink.on_task(std::move(record));
  }
}

}  // namespace skep::store
