// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_store.h"

#include <atomic>

#include "base/check.h"
#include "base/clock.h"
#include "store/memory_tables.h"
#include "store/rocksdb_engine.h"
#include "store/store_directory.h"
#include "store/store_pool.h"
#include "task/record.h"

namespace skep::store {
namespace {

// Between two such, in vain or not.
constexpr Duration kGiveBackAfter = seconds(10);

class RocksdbStore final : public Store {
 public:
  RocksdbStore(std::string directory, ShardId shard_count)
      : directory_(std::move(directory)), shard_count_(shard_count), fence_(shard_count) {}

  Result<void> open(const RocksdbOptions& options, EngineMode mode, std::uint64_t secret, Logger log);

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override { return shard_count_; }
  Result<void> load(ShardId shard, Epoch epoch, RecordSink& sink) override;
  std::unique_ptr<Session> open_session(Executor& executor) override;
  StoreStats stats() const override;
  DiskRoom room() const override;
  void give_back() override;
  Result<void> close() override;

  // On a session's threads.
  Result<void> commit(const std::vector<ShardBatch>& batches, Sync sync);
  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys);

 private:
  Result<std::uint64_t> read_meta(const std::string& key);
  Result<void> check_meta();
  Result<void> read_blobs(const std::vector<BlobKey>& keys, BlobKind kind, std::vector<Blob>& blobs);

  const std::string directory_;
  const ShardId shard_count_;
  std::uint64_t reserve_ = 0;  // bytes
  StoreNumber number_ = 0;     // constant once it is open
  ShardFence fence_;
  std::unique_ptr<RocksdbEngine> engine_;
  std::atomic<bool> is_giving_back_ = false;
  std::atomic<Instant> gave_back_at_ = Instant{};
  std::unique_ptr<WorkThread> giver_;  // last: it ends first
};

// What a session does on its threads.
struct RocksdbWork {
  Result<void> commit(const std::vector<ShardBatch>& batches, Sync sync) {
    return store.commit(batches, sync);
  }
  Result<std::vector<Blob>> read(const std::vector<BlobKey>& keys) { return store.read(keys); }
  void after_commit() {}

  RocksdbStore& store;
};

void encode_mutation(const ShardBatch& batch, const Mutation& mutation, KvBatch& kv, std::string& scratch) {
  const auto put_blob = [&](Table table, const TaskId& id, const std::string& key, const Blob& blob) {
    if (!blob) return;
    scratch.clear();
    encode_blob(id, *blob, scratch);
    kv.put(table, key, scratch);
  };
  if (const auto* queue = std::get_if<PutQueue>(&mutation)) {
    scratch.clear();
    encode(queue->record, scratch);
    kv.put(Table::kQueues, queue_key(batch.shard, queue->record.name), scratch);
    return;
  }
  const auto* put = std::get_if<PutTask>(&mutation);
  const auto* body = std::get_if<EraseBody>(&mutation);
  const TaskId id = put != nullptr    ? put->record->id
                    : body != nullptr ? body->id
                                      : std::get<EraseTask>(mutation).id;
  SKEP_CHECK(id.shard == batch.shard, "a shard's batch holds changes of its own tasks only");
  const std::string key = task_key(id);
  if (body != nullptr) {
    kv.erase(Table::kBodies, key);
    return;
  }
  if (put == nullptr) {
    for (const Table table : {Table::kTasks, Table::kBodies, Table::kResults}) kv.erase(table, key);
    return;
  }
  scratch.clear();
  encode(*put->record, scratch);
  kv.put(Table::kTasks, key, scratch);
  put_blob(Table::kBodies, id, key, put->body);
  put_blob(Table::kResults, id, key, put->result);
}

// ---- opening and closing ----

Result<std::uint64_t> RocksdbStore::read_meta(const std::string& key) {
  std::uint64_t number = 0;
  SKEP_TRY(engine_->get(
      Table::kMeta, {key}, [&](std::size_t, std::optional<std::string_view> value) -> Result<void> {
        if (!value)
          return fail(Code::kCorrupt, "meta value " + show_key(key) + " is missing in " + directory_);
        SKEP_TRY(number, decode_meta(key, *value));
        return ok();
      }));
  return number;
}

Result<void> RocksdbStore::check_meta() {
  SKEP_TRY(const auto format, read_meta(std::string(kMetaFormat)));
  SKEP_TRY(const auto shards, read_meta(std::string(kMetaShardCount)));
  if (format == kStoreFormat && shards == shard_count_) return ok();
  return fail(Code::kCorrupt,
              directory_ +
                  "/skep.store does not belong to the data beside it: they differ in format or "
                  "number of shards");
}

Result<void> RocksdbStore::open(const RocksdbOptions& options, EngineMode mode, std::uint64_t secret,
                                Logger log) {
  if (options.is_numbered) number_ = number_of_secret(secret);
  EngineOptions engine;
  engine.directory = options.directory;
  engine.mode = mode;
  engine.secret = secret;
  engine.cache_bytes = options.cache_bytes;
  engine.write_buffer_bytes = options.write_buffer_bytes;
  engine.log_bytes_max = options.log_bytes_max;
  reserve_ = options.write_buffer_bytes + 2 * options.log_bytes_max;
  engine.env = options.env;
  engine.on_lost_writes = [this] { fence_.revoke_all(); };
  SKEP_TRY(engine_, RocksdbEngine::open(std::move(engine), std::move(log)));
  giver_ = std::make_unique<WorkThread>("skep-give-back");
  if (mode != EngineMode::kCreate) return check_meta();
  return engine_->write(Sync::kDurable, [this](KvBatch& kv) -> Result<void> {
    kv.put(Table::kMeta, kMetaFormat, encode_meta(kMetaFormat, kStoreFormat));
    kv.put(Table::kMeta, kMetaShardCount, encode_meta(kMetaShardCount, shard_count_));
    for (ShardId shard = 0; shard < shard_count_; ++shard) {
      kv.put(Table::kMeta, epoch_key(shard), encode_meta(epoch_key(shard), 0));
    }
    return ok();
  });
}

StoreStats RocksdbStore::stats() const {
  return {"rocksdb", directory_, directory_bytes(directory_), disk_free_bytes(directory_),
          "on this machine's disk; the loss of the disk loses it"};
}

// Memory is written out, the logs grow beside it, and files are written anew without what has left.
DiskRoom RocksdbStore::room() const {
  return disk_room(directory_, reserve_);
}

void RocksdbStore::give_back() {
  if (!giver_) return;
  const Instant now = SystemClock().now();
  if (std::chrono::abs(now - gave_back_at_.load()) < kGiveBackAfter || is_giving_back_.exchange(true)) return;
  giver_->post([this] {
    // One that fails is tried again; the store itself says what is wrong when it is written to.
    (void)engine_->give_back(disk_free_bytes(directory_));
    gave_back_at_ = SystemClock().now();
    is_giving_back_ = false;
  });
}

Result<void> RocksdbStore::close() {
  if (giver_) engine_->stop_giving_back();
  giver_.reset();
  return engine_->close();
}

std::unique_ptr<Session> RocksdbStore::open_session(Executor& executor) {
  return std::make_unique<ThreadedSession<RocksdbWork>>(executor, RocksdbWork{*this});
}

// ---- ownership ----

Result<Epoch> RocksdbStore::claim(ShardId shard) {
  if (shard >= shard_count_) return no_such_shard(shard, shard_count_);
  SKEP_TRY(const auto stored, read_meta(epoch_key(shard)));
  if (stored >= std::numeric_limits<Epoch>::max()) {
    return fail(Code::kCorrupt, "the epochs of shard " + std::to_string(shard) + " are used up");
  }
  // From here on no commit of an older epoch is under way.
  SKEP_TRY(const Epoch epoch, fence_.raise(shard, next_epoch(static_cast<Epoch>(stored), number_)));
  SKEP_TRY(engine_->write(Sync::kDurable, [&](KvBatch& kv) -> Result<void> {
    kv.put(Table::kMeta, epoch_key(shard), encode_meta(epoch_key(shard), epoch));
    return ok();
  }));
  return epoch;
}

Result<void> RocksdbStore::load(ShardId shard, Epoch epoch, RecordSink& sink) {
  SKEP_TRY(fence_.check(shard, epoch));
  SKEP_TRY(engine_->scan(
      Table::kQueues, shard_prefix(shard), [&](std::string_view key, std::string_view value) -> Result<void> {
        SKEP_TRY(const auto parsed, parse_queue_key(key));
        auto record = decode_queue(value);
        if (!record) return with_context(record.error(), "queue '" + std::string(parsed.name) + "'");
        if (record.value().name != parsed.name) {
          return fail(Code::kCorrupt, "the record under " + show_key(key) + " is of another queue");
        }
        sink.on_queue(std::move(record.value()));
        return ok();
      }));
  return engine_->scan(
      Table::kTasks, shard_prefix(shard), [&](std::string_view key, std::string_view value) -> Result<void> {
        SKEP_TRY(const auto id, parse_task_key(key));
        auto record = decode_task(value);
        if (!record) return with_context(record.error(), "task " + id.to_string());
        if (record.value().id != id) {
          return fail(Code::kCorrupt, "the record under " + id.to_string() + " is of another task");
        }
        sink.on_task(std::move(record.value()));
        return ok();
      });
}

// ---- sessions ----

Result<void> RocksdbStore::commit(const std::vector<ShardBatch>& batches, Sync sync) {
  bool has_entered = false;
  auto result = engine_->write(sync, [&](KvBatch& kv) -> Result<void> {
    SKEP_TRY(fence_.enter(batches));
    has_entered = true;
    std::string scratch;
    for (const auto& batch : batches) {
      for (const auto& mutation : batch.mutations) encode_mutation(batch, mutation, kv, scratch);
    }
    return ok();
  });
  if (has_entered) fence_.leave(batches);
  return result;
}

Result<void> RocksdbStore::read_blobs(const std::vector<BlobKey>& keys, BlobKind kind,
                                      std::vector<Blob>& blobs) {
  std::vector<std::string> wanted;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].kind != kind) continue;
    wanted.push_back(task_key(keys[i].task));
    places.push_back(i);
  }
  if (wanted.empty()) return ok();
  const Table table = kind == BlobKind::kBody ? Table::kBodies : Table::kResults;
  return engine_->get(table, wanted,
                      [&](std::size_t i, std::optional<std::string_view> value) -> Result<void> {
                        if (!value) return ok();
                        SKEP_TRY(auto bytes, decode_blob(keys[places[i]].task, *value));
                        blobs[places[i]] = std::make_shared<const std::string>(std::move(bytes));
                        return ok();
                      });
}

Result<std::vector<Blob>> RocksdbStore::read(const std::vector<BlobKey>& keys) {
  std::vector<Blob> blobs(keys.size());
  SKEP_TRY(read_blobs(keys, BlobKind::kBody, blobs));
  SKEP_TRY(read_blobs(keys, BlobKind::kResult, blobs));
  return blobs;
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocksdb(const RocksdbOptions& options, Logger log) {
  SKEP_TRY(auto found, look_at_directory(options.directory));
  SKEP_TRY(check_engine(options.directory, found, kRocksdbEngine));
  if (found && found->is_ready) {
    auto store = std::make_unique<RocksdbStore>(options.directory, found->shard_count);
    SKEP_TRY(store->open(options, EngineMode::kOpen, found->secret, log));
    return std::unique_ptr<Store>(std::move(store));
  }
  // skep.store comes first, so that what a crash leaves of the making is known as ours, and says so until it
  // is done.
  if (options.shard_count == 0) return fail(Code::kInvalid, "a store has at least one shard");
  SKEP_TRY(make_directory(options.directory));
  StoreFile file{kStoreFormat, options.shard_count, false, SKEP_VERSION, format_instant(SystemClock().now())};
  file.secret = draw_secret();
  SKEP_TRY(write_store_file(options.directory, file));
  auto store = std::make_unique<RocksdbStore>(options.directory, options.shard_count);
  SKEP_TRY(store->open(options, EngineMode::kCreate, file.secret, log));
  file.is_ready = true;
  SKEP_TRY(write_store_file(options.directory, file));
  log.info("a new store was made", {{"directory", options.directory}, {"shards", options.shard_count}});
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace skep::store
