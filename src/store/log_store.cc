// SPDX-License-Identifier: Apache-2.0
#include "store/log_store.h"

#include <limits>

#include "base/check.h"
#include "base/clock.h"
#include "store/log_engine.h"
#include "store/memory_tables.h"
#include "store/store_directory.h"
#include "store/store_pool.h"

namespace skep::store {
namespace {

class LogStore final : public Store {
 public:
  LogStore(std::string directory, ShardId shard_count)
      : directory_(std::move(directory)), shard_count_(shard_count), fence_(shard_count) {}

  Result<void> open(const LogOptions& options, const StoreFile& file, Logger log);

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override { return shard_count_; }
  Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) override;
  std::unique_ptr<Session> open_session(Executor& executor) override;
  StoreStats stats() const override;
  DiskRoom room() const override;
  Result<void> close() override { return engine_->close(); }

  // On a session's threads.
  Result<void> commit(const std::vector<ShardBatch>& batches, Sync sync);
  void tidy() { engine_->tidy(); }
  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys) { return engine_->read(keys); }

 private:
  const std::string directory_;
  const ShardId shard_count_;
  std::uint64_t segment_bytes_ = 0;
  StoreNumber number_ = 0;  // constant once it is open
  ShardFence fence_;
  std::unique_ptr<LogEngine> engine_;
};

// What a session does on its threads.
struct LogWork {
  Result<void> commit(const std::vector<ShardBatch>& batches, Sync sync) {
    return store.commit(batches, sync);
  }
  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys) { return store.read(keys); }
  void after_commit() { store.tidy(); }

  LogStore& store;
};

void add_mutation(const ShardBatch& batch, const Mutation& mutation, FrameBuilder& frame) {
  if (const auto* queue = std::get_if<PutQueue>(&mutation))
    return frame.put_queue(batch.shard, queue->record);
  const auto check_shard = [&](const TaskId& id) {
    SKEP_CHECK(id.shard == batch.shard, "a shard's batch holds changes of its own tasks only");
  };
  if (const auto* put = std::get_if<PutTask>(&mutation)) {
    check_shard(put->record->id);
    frame.put_task(*put->record);
    if (put->body) frame.put_blob(BlobKind::kBody, put->record->id, put->body);
    if (put->result) frame.put_blob(BlobKind::kResult, put->record->id, put->result);
    return;
  }
  const auto* body = std::get_if<EraseBody>(&mutation);
  const TaskId id = body != nullptr ? body->id : std::get<EraseTask>(mutation).id;
  check_shard(id);
  frame.erase(body != nullptr ? ItemKind::kEraseBody : ItemKind::kEraseTask, id);
}

Result<void> LogStore::open(const LogOptions& options, const StoreFile& file, Logger log) {
  if (options.is_numbered) number_ = number_of_secret(file.secret);
  LogEngineOptions engine;
  engine.directory = options.directory;
  engine.shard_count = shard_count_;
  engine.secret = file.secret;
  engine.is_new = !file.is_ready;
  engine.segment_bytes = segment_bytes_ = options.segment_bytes;
  engine.slack_bytes = options.slack_bytes;
  engine.disk = options.disk ? options.disk : machine_disk();
  engine.removes_apart = options.disk == nullptr;
  engine.on_lost_writes = [this] { fence_.revoke_all(); };
  SKEP_TRY(engine_, LogEngine::open(std::move(engine), std::move(log)));
  return ok();
}

StoreStats LogStore::stats() const {
  return {std::string(kLogEngine), directory_, directory_bytes(directory_), disk_free_bytes(directory_),
          "on this machine's disk; the loss of the disk loses it"};
}

// A segment to write to and one to copy to.
DiskRoom LogStore::room() const {
  return disk_room(directory_, 2 * segment_bytes_);
}

std::unique_ptr<Session> LogStore::open_session(Executor& executor) {
  return std::make_unique<ThreadedSession<LogWork>>(executor, LogWork{*this});
}

Result<Epoch> LogStore::claim(ShardId shard) {
  if (shard >= shard_count_) return no_such_shard(shard, shard_count_);
  SKEP_TRY(const Epoch stored, engine_->epoch(shard));
  if (stored == std::numeric_limits<Epoch>::max()) {
    return fail(Code::kCorrupt, "the epochs of shard " + std::to_string(shard) + " are used up");
  }
  // From here on no commit of an older epoch is under way.
  SKEP_TRY(const Epoch epoch, fence_.raise(shard, next_epoch(stored, number_)));
  SKEP_TRY(engine_->write(Sync::kDurable, [&](FrameBuilder& frame) -> Result<void> {
    frame.put_epoch(shard, epoch);
    return ok();
  }));
  engine_->tidy();
  return epoch;
}

Result<void> LogStore::load(ShardId shard, Epoch epoch, RecordSink& sink) {
  SKEP_TRY(fence_.check(shard, epoch));
  return engine_->load(shard, sink);
}

Result<void> LogStore::commit(const std::vector<ShardBatch>& batches, Sync sync) {
  bool has_entered = false;
  auto result = engine_->write(sync, [&](FrameBuilder& frame) -> Result<void> {
    SKEP_TRY(fence_.enter(batches));
    has_entered = true;
    for (const auto& batch : batches) {
      for (const auto& mutation : batch.mutations) add_mutation(batch, mutation, frame);
    }
    return ok();
  });
  if (has_entered) fence_.leave(batches);
  return result;
}

}  // namespace

Result<std::unique_ptr<Store>> open_log(const LogOptions& options, Logger log) {
  SKEP_TRY(auto found, look_at_directory(options.directory));
  SKEP_TRY(check_engine(options.directory, found, kLogEngine));
  if (found && found->is_ready) {
    auto store = std::make_unique<LogStore>(options.directory, found->shard_count);
    SKEP_TRY(store->open(options, *found, log));
    return std::unique_ptr<Store>(std::move(store));
  }
  // As for the other engine: what a crash leaves of the making is known as ours, and says so until it is
  // done.
  if (options.shard_count == 0) return fail(Code::kInvalid, "a store has at least one shard");
  SKEP_TRY(make_directory(options.directory));
  StoreFile file{kLogFormat,
                 options.shard_count,
                 false,
                 SKEP_VERSION,
                 format_instant(SystemClock().now()),
                 std::string(kLogEngine),
                 draw_secret()};
  SKEP_TRY(write_store_file(options.directory, file));
  auto store = std::make_unique<LogStore>(options.directory, options.shard_count);
  SKEP_TRY(store->open(options, file, log));
  file.is_ready = true;
  SKEP_TRY(write_store_file(options.directory, file));
  log.info("a new store was made", {{"directory", options.directory}, {"shards", options.shard_count}});
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace skep::store
