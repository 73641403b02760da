// SPDX-License-Identifier: Apache-2.0
// verify_log.cc - verify of the log engine: every frame and all that it carries, then what is present.
#include <optional>

#include "store/directory_lock.h"
#include "store/log_replay.h"
#include "store/log_view.h"
#include "store/store_directory.h"
#include "store/verify_contents.h"
#include "store/verify_engines.h"
#include "task/record.h"

namespace skep::store {
namespace {

constexpr std::size_t kWindowTasks = 4'096;

class LogVerifier {
 public:
  LogVerifier(const VerifyOptions& options, std::uint64_t secret, VerifyReport& report)
      : options_(options),
        report_(report),
        contents_(options, report),
        key_(frame_key(secret)),
        view_(options.directory, machine_disk()) {}

  Result<void> run();

 private:
  Result<void> check_frame(const FrameAt& frame);
  Result<void> check_zeros(const FrameAt& frame, std::uint64_t begin, std::uint64_t end);
  Result<bool> replay();
  void check_shard(ShardId shard);
  void check_blob(BlobKind kind, const TaskId& id, const Place& place);

  const VerifyOptions& options_;
  VerifyReport& report_;
  ContentsCheck contents_;
  const FrameKey key_;
  std::unique_ptr<LogIndex> index_;
  LogView view_;
  std::uint32_t last_segment_ = 0;  // of the frame before
  std::uint64_t last_end_ = 0;
};

Result<void> LogVerifier::check_frame(const FrameAt& frame) {
  std::uint64_t end_of_items = frame.offset + kFrameHeaderBytes + frame.items.size() * kItemHeadBytes;
  SKEP_TRY(frame.fetch());
  for (const auto& item : frame.items) {
    const Place place = place_of(frame.segment, frame.offset, item);
    SKEP_TRY(const auto bytes, frame.stored(item));
    const std::string stored(bytes);
    const auto checked = check_item(item.head, stored);
    if (!checked) contents_.find(damage_at(frame.path, place.offset, checked.error().message));
    const auto applied = index_->apply(item.head, place, stored);
    if (!applied && checked) contents_.find(damage_at(frame.path, place.offset, applied.error().message));
    end_of_items += item.head.length;
  }
  // What fills it up is zero, and so is what comes before the next one.
  const std::uint64_t end = frame.offset + frame.header.bytes;
  SKEP_TRY(check_zeros(frame, end_of_items, end));
  if (frame.segment == last_segment_ && frame.offset < last_end_ + kSectorBytes) {
    SKEP_TRY(check_zeros(frame, last_end_, frame.offset));
  }
  last_segment_ = frame.segment;
  last_end_ = end;
  return ok();
}

Result<void> LogVerifier::check_zeros(const FrameAt& frame, std::uint64_t begin, std::uint64_t end) {
  SKEP_TRY(const auto bytes, frame.reader.view(begin, end - begin));
  if (bytes.find_first_not_of('\0') != std::string_view::npos) {
    contents_.find(damage_at(frame.path, begin, "what is between two frames is not zero"));
  }
  return ok();
}

// Success: whether it could be read.
Result<bool> LogVerifier::replay() {
  index_ = std::make_unique<LogIndex>(report_.shards);
  ReplayOptions options;
  options.directory = options_.directory;
  options.disk = machine_disk();
  options.key = key_;
  options.was_sealed = report_.was_sealed;
  options.on_frame = [this](const FrameAt& frame) { return check_frame(frame); };
  options.on_damage = [this](const Error& error) { contents_.find(error); };
  const auto replay = replay_log(std::move(options));
  if (!replay && replay.error().code != Code::kCorrupt) return replay.error();
  if (!replay) {
    contents_.find(replay.error());
    return false;
  }
  for (const auto& cut : replay.value().torn) {
    report_.notes.push_back(cut.name + " ends with " + std::to_string(cut.torn_bytes) +
                            " bytes that a crash left and nobody was promised; the next start cuts them off");
  }
  report_.data_files = replay.value().segments.size();
  for (const auto& segment : replay.value().segments) report_.data_bytes += segment.end;
  view_.replace(std::move(index_));
  return true;
}

void LogVerifier::check_blob(BlobKind kind, const TaskId& id, const Place& place) {
  if (!place) return;
  const auto read = view_.read({{kind, id}});
  const auto blob = read ? Result<std::string>(*read.value()[0]) : Result<std::string>(read.error());
  contents_.check_blob(kind, id, blob, false);
}

void LogVerifier::check_shard(ShardId shard) {
  contents_.add_epoch(view_.with([&](LogIndex& index) { return index.epoch(shard); }));
  for (const auto& stored : view_.with([&](LogIndex& index) { return index.queues(shard); })) {
    const auto record = decode_queue(stored);
    const std::string place =
        "record of queue '" + (record ? record.value().name : "?") + "' in shard " + std::to_string(shard);
    if (!record) {
      contents_.find(place, record.error().message);
    } else {
      contents_.check_queue(place, record.value());
    }
  }
  std::optional<TaskId> last;
  for (;;) {
    const auto tasks = view_.with(
        [&](LogIndex& index) { return index.tasks_after(shard, last ? &*last : nullptr, kWindowTasks); });
    if (tasks.empty()) return;
    last = tasks.back().first;
    for (const auto& [id, places] : tasks) {
      if (places.record) contents_.check_task(id, view_.read_record(id));
      check_blob(BlobKind::kBody, id, places.body);
      check_blob(BlobKind::kResult, id, places.result);
    }
  }
}

Result<void> LogVerifier::run() {
  DirectoryLock lock;
  SKEP_TRY(lock.lock_to_read(options_.directory));
  const auto sealed = check_seal(options_.directory, AfterCheck::kKeep);
  if (!sealed && sealed.error().code != Code::kCorrupt) return sealed.error();
  if (!sealed) contents_.find(sealed.error());
  report_.was_sealed = sealed && sealed.value();
  SKEP_TRY(report_.was_read, replay());
  if (!report_.was_read) return ok();
  for (ShardId shard = 0; shard < report_.shards; ++shard) check_shard(shard);
  contents_.check_missing_blobs([](BlobKind, const TaskId&) { return false; });
  return ok();
}

}  // namespace

Result<void> verify_log(const VerifyOptions& options, std::uint64_t secret, VerifyReport& report) {
  return LogVerifier(options, secret, report).run();
}

}  // namespace skep::store
