// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_engine.h"

#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "base/check.h"
#include "store/rocksdb_files.h"
#include "store/rocksdb_tuning.h"
#include "store/store_directory.h"
#include "store/store_pool.h"

namespace skep::store {
namespace {

namespace fs = std::filesystem;

// More than this must be free, beyond the logs, before a full disk is tried again.
constexpr std::uint64_t kFreeBytesToHeal = std::uint64_t{8} << 20;

enum class Health : std::uint8_t {
  kFine,
  kFull,     // no space: to be opened again when there is some
  kBroken,   // to be opened again
  kCorrupt,  // damaged: refused for good
};

// What the listener has seen.
struct Sight {
  Health health = Health::kFine;
  std::string problem;
  std::uint64_t log_appends_failed = 0;
  std::uint64_t syncs_failed = 0;
};

// RocksDB's reports of errors, which say more than the status of a write does.
class Watch final : public rocksdb::EventListener {
 public:
  Sight look() const {
    return sight_.with([](const Sight& sight) { return sight; });
  }
  void set_fine() {
    sight_.with([](Sight& sight) { sight.health = Health::kFine; });
  }
  // The worse of what was and `health`.
  void worsen(Health health, const std::string& problem) {
    sight_.with([&](Sight& sight) {
      if (health <= sight.health) return;
      sight.health = health;
      sight.problem = problem;
    });
  }

  bool ShouldBeNotifiedOnFileIO() override { return true; }
  void OnIOError(const rocksdb::IOErrorInfo& info) override {
    const bool is_sync = info.operation != rocksdb::FileOperationType::kAppend &&
                         info.operation != rocksdb::FileOperationType::kPositionedAppend;
    const bool is_log = info.file_path.ends_with(".log");
    sight_.with([&](Sight& sight) {
      if (is_sync) ++sight.syncs_failed;
      if (is_log && !is_sync) ++sight.log_appends_failed;
    });
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    // A soft error leaves the database writable, and RocksDB tries again by itself.
    if (status->severity() < rocksdb::Status::Severity::kHardError) return;
    const Health health = status->IsCorruption() ? Health::kCorrupt
                          : status->IsNoSpace()  ? Health::kFull
                                                 : Health::kBroken;
    worsen(health, status->ToString());
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status status,
                            bool* auto_recovery) override {
    if (status.severity() >= rocksdb::Status::Severity::kHardError) *auto_recovery = false;
  }

 private:
  Guarded<Sight> sight_;
};

Error to_error(const rocksdb::Status& status, std::string_view doing) {
  Code code = Code::kInternal;
  // A file that the list of files names and that is gone will not come back by waiting.
  if (status.IsCorruption() || status.IsPathNotFound()) {
    code = Code::kCorrupt;
  } else if (status.IsIOError() || status.IsBusy() || status.IsTimedOut() || status.IsAborted() ||
             status.IsTryAgain() || status.IsShutdownInProgress()) {
    code = Code::kUnavailable;
  }
  return fail(code, std::string(doing) + ": " + status.ToString());
}

rocksdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
std::string_view view(const rocksdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
}

// The directory's log files, the oldest first.
Result<std::vector<std::string>> log_names(const std::string& directory) {
  std::vector<std::pair<std::uint64_t, std::string>> logs;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (!name.ends_with(".log")) continue;
    std::uint64_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    logs.emplace_back(number, directory + "/" + name);
  }
  if (error) return os_error(error.value(), "list directory " + directory);
  std::sort(logs.begin(), logs.end());
  std::vector<std::string> names;
  for (auto& [number, name] : logs) names.push_back(std::move(name));
  return names;
}

// Whether another process holds the lock of the file, for who may not write it and so can not take it.
bool is_locked_elsewhere(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool is_locked = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return is_locked;
}

// Holds the gate open for one use.
class Pass {
 public:
  explicit Pass(Gate& gate) : gate_(gate) { gate_.enter(); }
  ~Pass() { gate_.leave(); }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

 private:
  Gate& gate_;
};

}  // namespace

using Handles = std::array<rocksdb::ColumnFamilyHandle*, kTableCount>;

struct KvBatch::Impl {
  explicit Impl(const Handles& all) : handles(all) {}

  const Handles& handles;
  rocksdb::WriteBatch batch;
};

void KvBatch::put(Table table, std::string_view key, std::string_view value) {
  const auto status =
      impl_.batch.Put(impl_.handles[static_cast<std::size_t>(table)], slice(key), slice(value));
  SKEP_CHECK(status.ok(), status.ToString());
}

void KvBatch::erase(Table table, std::string_view key) {
  const auto status = impl_.batch.Delete(impl_.handles[static_cast<std::size_t>(table)], slice(key));
  SKEP_CHECK(status.ok(), status.ToString());
}

struct RocksdbEngine::Impl {
  Impl(EngineOptions engine_options, Logger logger)
      : options(std::move(engine_options)), log(std::move(logger)) {}

  rocksdb::Env* env() const { return options.env != nullptr ? options.env : rocksdb::Env::Default(); }
  bool is_reader() const { return options.mode == EngineMode::kReadOnly; }
  std::string lock_path() const { return options.directory + "/LOCK"; }

  Result<void> lock_directory();
  void unlock_directory();
  Result<void> look_through();
  Result<void> look_through_logs();
  Result<void> note_damage(Result<void> looked);
  Result<void> look_through_tables(const std::string& manifest);
  Result<void> open_database();
  Result<void> open();
  void close_database();

  Error in_use() const {
    return fail(Code::kUnavailable, "the store in " + options.directory + " is open in " +
                                        describe_holder(options.directory) +
                                        ": stop that one first, or name another directory");
  }
  Error gone() const { return fail(Code::kUnavailable, "the store in " + options.directory + " is closed"); }
  Result<void> usable();
  Result<void> present();
  Result<void> heal();
  Result<void> heal_alone();
  Error explain_failed_write(const rocksdb::Status& status, const Sight& before, Sync sync);
  void remember_durable(std::uint64_t before, std::uint64_t count);
  Result<void> flush_all();
  Result<void> scan(Table table, std::string_view first, std::string_view prefix, VisitEntry visit);

  EngineOptions options;
  const Logger log;
  const std::shared_ptr<Watch> watch = std::make_shared<Watch>();
  rocksdb::FileLock* lock = nullptr;

  // Changed only by who closed the gate.
  Gate gate;
  std::unique_ptr<rocksdb::DB> db;
  Handles handles{};
  bool is_closed = false;
  std::uint64_t last_sequence = 0;  // when it was closed

  Guarded<std::uint64_t> durable_sequence{0};
};

// ---- opening ----

Result<void> RocksdbEngine::Impl::lock_directory() {
  // Asked first: a lock that can not be had because nothing may be written looks like one that somebody
  // holds.
  const bool is_writable =
      ::access(options.directory.c_str(), W_OK | X_OK) == 0 &&
      (::access(lock_path().c_str(), F_OK) != 0 || ::access(lock_path().c_str(), R_OK | W_OK) == 0);
  if (!is_writable) return os_error(errno, "store directory " + options.directory + " can not be written");
  const auto status = env()->LockFile(lock_path(), &lock);
  if (status.ok()) return ok();
  lock = nullptr;
  if (status.IsNoSpace()) return to_error(status, "store " + options.directory);
  return in_use();
}

void RocksdbEngine::Impl::unlock_directory() {
  if (lock != nullptr) env()->UnlockFile(lock).PermitUncheckedError();
  lock = nullptr;
}

Result<void> RocksdbEngine::Impl::look_through_logs() {
  SKEP_TRY(const auto names, log_names(options.directory));
  std::vector<LogFile> logs;
  for (const auto& name : names) {
    SKEP_TRY(auto bytes, read_file(name));
    logs.push_back({name, std::move(bytes)});
  }
  if (options.inspection != nullptr) {
    options.inspection->logs = logs.size();
    for (const auto& file : logs) options.inspection->log_bytes += file.bytes.size();
  }
  SKEP_TRY(const auto cuts, scan_logs(logs, options.secret));
  for (const auto& cut : cuts) {
    if (options.inspection != nullptr) options.inspection->torn.push_back(cut);
    if (is_reader()) continue;
    log.warn("the end of a log was torn by a crash; nothing of it was acknowledged, and it is cut off",
             {{"file", cut.name}, {"kept_bytes", cut.keep_bytes}, {"torn_bytes", cut.torn_bytes}});
    SKEP_TRY(truncate_file(cut.name, cut.keep_bytes));
  }
  return ok();
}

// Success if it is damage that a reader only takes note of.
Result<void> RocksdbEngine::Impl::note_damage(Result<void> looked) {
  if (looked || options.inspection == nullptr || looked.error().code != Code::kCorrupt) return looked;
  options.inspection->damage.push_back(looked.error());
  return ok();
}

// All that is checked before RocksDB gets to see the files. The directory's lock is held.
Result<void> RocksdbEngine::Impl::look_through() {
  bool was_sealed = false;
  SKEP_TRY(note_damage([&]() -> Result<void> {
    SKEP_TRY(was_sealed,
             check_seal(options.directory, is_reader() ? AfterCheck::kKeep : AfterCheck::kRemove));
    return ok();
  }()));
  if (options.inspection != nullptr) options.inspection->was_sealed = was_sealed;
  const std::string current = options.directory + "/CURRENT";
  std::error_code error;
  if (!fs::exists(current, error)) {
    if (options.mode == EngineMode::kCreate) return ok();
    return fail(Code::kCorrupt, current + " is missing");
  }
  SKEP_TRY(auto manifest_name, read_file(current));
  while (manifest_name.ends_with('\n')) manifest_name.pop_back();
  const std::string manifest = options.directory + "/" + manifest_name;
  if (!manifest_name.starts_with("MANIFEST-") || manifest_name.find('/') != std::string::npos ||
      !fs::exists(manifest, error)) {
    return fail(Code::kCorrupt, current + " is damaged: it names no MANIFEST that is there");
  }
  SKEP_TRY(auto bytes, read_file(manifest));
  SKEP_TRY(note_damage(scan_manifest({manifest, std::move(bytes)})));
  if (!was_sealed) {
    SKEP_TRY(note_damage(look_through_logs()));
  }
  return look_through_tables(manifest);
}

// Nothing is opened on a damaged table, not even to look around: RocksDB might end the process.
Result<void> RocksdbEngine::Impl::look_through_tables(const std::string& manifest) {
  SKEP_TRY(const auto check, check_tables(options.directory, manifest, *env()));
  if (check.findings.empty()) return ok();
  for (std::size_t i = 1; i < check.findings.size(); ++i) {
    SKEP_TRY(note_damage(fail(Code::kCorrupt, check.findings[i])));
  }
  return fail(Code::kCorrupt, check.findings[0]);
}

Result<void> RocksdbEngine::Impl::open_database() {
  const auto cache = rocksdb::NewLRUCache(options.cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> tables;
  for (std::size_t i = 0; i < kTableCount; ++i) {
    const auto table = static_cast<Table>(i);
    tables.emplace_back(std::string(table_name(table)), tuned_table(table, options, cache));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  rocksdb::DB* raw = nullptr;
  const auto tuned = tuned_database(options, watch, log);
  const auto status = is_reader()
                          ? rocksdb::DB::OpenForReadOnly(tuned, options.directory, tables, &opened, &raw)
                          : rocksdb::DB::Open(tuned, options.directory, tables, &opened, &raw);
  if (!status.ok()) return to_error(status, "open the store in " + options.directory);
  db.reset(raw);
  std::copy(opened.begin(), opened.end(), handles.begin());
  return ok();
}

Result<void> RocksdbEngine::Impl::open() {
  // A reader takes the lock where there is one that it may take; it makes none.
  if (!is_reader() || ::access(lock_path().c_str(), W_OK) == 0) {
    SKEP_TRY(lock_directory());
  } else if (is_locked_elsewhere(lock_path())) {
    return in_use();
  }
  if (auto looked = look_through(); !looked) {
    unlock_directory();
    return looked;
  }
  // RocksDB takes the lock itself now; a reader keeps it, for RocksDB takes none then.
  if (!is_reader()) unlock_directory();
  if (auto opened = open_database(); !opened) {
    unlock_directory();
    return opened;
  }
  if (!is_reader()) write_pid_file(options.directory);
  last_sequence = db->GetLatestSequenceNumber();
  // Opening wrote all that was in the logs into files and synced them.
  durable_sequence.with([this](std::uint64_t& durable) { durable = last_sequence; });
  return ok();
}

void RocksdbEngine::Impl::close_database() {
  if (db == nullptr) return;
  last_sequence = db->GetLatestSequenceNumber();
  for (auto*& handle : handles) {
    db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    handle = nullptr;
  }
  // Errors are those that made it close; what was durable is so already.
  db->Close().PermitUncheckedError();
  db.reset();
}

// ---- healing ----

// Inside the gate: may the database be used?
Result<void> RocksdbEngine::Impl::usable() {
  if (is_closed) return gone();
  const Sight sight = watch->look();
  if (sight.health == Health::kFine) return ok();
  const Code code = sight.health == Health::kCorrupt ? Code::kCorrupt : Code::kUnavailable;
  return fail(code, "the store in " + options.directory + " takes no commits: " + sight.problem);
}

// Outside the gate: reading goes on while commits are refused, unless the database could not be opened again.
Result<void> RocksdbEngine::Impl::present() {
  {
    const Pass pass(gate);
    if (db != nullptr || is_closed) return ok();
  }
  return heal();
}

Result<void> RocksdbEngine::Impl::heal() {
  const Health health = watch->look().health;
  if (health == Health::kFine || health == Health::kCorrupt) return ok();
  gate.close();
  auto healed = heal_alone();
  gate.open();
  return healed;
}

Result<void> RocksdbEngine::Impl::heal_alone() {
  const Sight sight = watch->look();
  if (is_closed || sight.health == Health::kFine || sight.health == Health::kCorrupt)
    return ok();  // somebody did it
  if (sight.health == Health::kFull) {
    std::uint64_t wanted = kFreeBytesToHeal;
    SKEP_TRY(const auto logs, log_names(options.directory));
    std::error_code error;
    for (const auto& name : logs) wanted += fs::file_size(name, error);
    const std::uint64_t free = disk_free_bytes(options.directory);
    if (free < wanted) {
      return fail(Code::kUnavailable, "the disk of " + options.directory +
                                          " is full: " + describe_bytes(free) + " are free and " +
                                          describe_bytes(wanted) + " are needed to go on");
    }
  }
  log.warn("the store is opened again after an error",
           {{"directory", options.directory}, {"problem", sight.problem}});
  close_database();
  const std::uint64_t before = last_sequence;
  watch->set_fine();
  options.mode = EngineMode::kOpen;
  if (auto opened = open(); !opened) {
    watch->worsen(opened.error().code == Code::kCorrupt ? Health::kCorrupt : Health::kBroken,
                  opened.error().message);
    return as_outage(opened.error());
  }
  log.info("the store is open again", {{"directory", options.directory}});
  if (last_sequence < before && options.on_lost_writes) options.on_lost_writes();
  return ok();
}

// ---- writing ----

Error RocksdbEngine::Impl::explain_failed_write(const rocksdb::Status& status, const Sight& before,
                                                Sync sync) {
  const Sight after = watch->look();
  watch->worsen(status.IsNoSpace() ? Health::kFull : Health::kBroken, status.ToString());
  if (status.IsCorruption()) return to_error(status, "write");
  // A log record that was not appended as a whole is none. All else may be in the log: after a sync that
  // failed the bytes may be on the disk or not, and no later sync can tell.
  const bool is_refused = before.health != Health::kFine;
  const bool is_cut_short = after.log_appends_failed != before.log_appends_failed;
  const bool is_unknown = after.syncs_failed != before.syncs_failed || !(is_refused || is_cut_short);
  if (!is_unknown && status.IsNoSpace())
    return fail(Code::kUnavailable, "the disk of " + options.directory + " is full, nothing was written");
  if (!is_unknown) return fail(Code::kUnavailable, "nothing was written: " + status.ToString());
  return fail(Code::kUnknownOutcome, std::string("it is not known whether it is ") +
                                         (sync == Sync::kDurable ? "on stable storage: " : "written: ") +
                                         status.ToString());
}

// After a synced write of `count` operations that found the database at sequence `before`.
void RocksdbEngine::Impl::remember_durable(std::uint64_t before, std::uint64_t count) {
  // What others wrote meanwhile may come after the sync, so only our own and what was there before is vouched
  // for.
  const std::uint64_t now = db->GetLatestSequenceNumber();
  const std::uint64_t durable = now == before + count ? now : before;
  durable_sequence.with([&](std::uint64_t& value) { value = std::max(value, durable); });
}

RocksdbEngine::RocksdbEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RocksdbEngine::~RocksdbEngine() {
  impl_->close_database();
  impl_->unlock_directory();
}

Result<std::unique_ptr<RocksdbEngine>> RocksdbEngine::open(EngineOptions options, Logger log) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(log));
  SKEP_TRY(impl->open());
  return std::unique_ptr<RocksdbEngine>(new RocksdbEngine(std::move(impl)));
}

Result<void> RocksdbEngine::write(Sync sync, UniqueFunction<Result<void>(KvBatch&)> fill) {
  SKEP_TRY(impl_->heal());
  const Pass pass(impl_->gate);
  SKEP_TRY(impl_->usable());
  KvBatch::Impl impl(impl_->handles);
  const std::string voucher =
      encode_voucher(impl_->options.secret.value_or(0),
                     impl_->durable_sequence.with([](const std::uint64_t& value) { return value; }));
  impl.batch.PutLogData(voucher).PermitUncheckedError();
  KvBatch batch(impl);
  SKEP_TRY(fill(batch));
  rocksdb::WriteOptions how;
  how.sync = sync == Sync::kDurable;
  const Sight before = impl_->watch->look();
  const std::uint64_t sequence = impl_->db->GetLatestSequenceNumber();
  const auto status = impl_->db->Write(how, &impl.batch);
  if (!status.ok()) return impl_->explain_failed_write(status, before, sync);
  if (how.sync) impl_->remember_durable(sequence, impl.batch.Count());
  return ok();
}

// ---- reading ----

Result<void> RocksdbEngine::get(Table table, const std::vector<std::string>& keys, VisitValue visit) {
  SKEP_TRY(impl_->present());
  const Pass pass(impl_->gate);
  if (impl_->db == nullptr) return impl_->gone();
  std::vector<rocksdb::Slice> slices;
  slices.reserve(keys.size());
  for (const auto& key : keys) slices.push_back(slice(key));
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  impl_->db->MultiGet({}, impl_->handles[static_cast<std::size_t>(table)], keys.size(), slices.data(),
                      values.data(), statuses.data());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!statuses[i].ok() && !statuses[i].IsNotFound()) {
      return to_error(statuses[i], "read the " + describe_key(table, keys[i]));
    }
    SKEP_TRY(visit(i, statuses[i].ok() ? std::optional(view(values[i])) : std::nullopt));
  }
  return ok();
}

Result<void> RocksdbEngine::scan(Table table, std::string_view prefix, VisitEntry visit) {
  return impl_->scan(table, prefix, prefix, std::move(visit));
}

Result<void> RocksdbEngine::scan_from(Table table, std::string_view first, VisitEntry visit) {
  return impl_->scan(table, first, {}, std::move(visit));
}

Result<void> RocksdbEngine::Impl::scan(Table table, std::string_view first, std::string_view prefix,
                                       VisitEntry visit) {
  SKEP_TRY(present());
  const Pass pass(gate);
  if (db == nullptr) return gone();
  rocksdb::ReadOptions how;
  how.fill_cache = false;
  how.readahead_size = std::size_t{1} << 20;
  const std::unique_ptr<rocksdb::Iterator> at(db->NewIterator(how, handles[static_cast<std::size_t>(table)]));
  for (at->Seek(slice(first)); at->Valid() && view(at->key()).starts_with(prefix); at->Next()) {
    SKEP_TRY(visit(view(at->key()), view(at->value())));
  }
  if (!at->status().ok()) return to_error(at->status(), "scan " + std::string(table_name(table)));
  return ok();
}

Result<FileCheck> RocksdbEngine::check_files() {
  const Pass pass(impl_->gate);
  if (impl_->db == nullptr) return impl_->gone();
  return check_live_files(impl_->options.directory, *impl_->db);
}

Result<bool> RocksdbEngine::give_back(std::uint64_t free) {
  const Pass pass(impl_->gate);
  SKEP_TRY(impl_->usable());
  SKEP_TRY(impl_->flush_all());
  std::uint64_t tables = 0;
  for (auto* handle : impl_->handles) {
    std::uint64_t bytes = 0;
    impl_->db->GetIntProperty(handle, rocksdb::DB::Properties::kTotalSstFilesSize, &bytes);
    tables += bytes;
  }
  if (tables > free / 2) return false;
  rocksdb::CompactRangeOptions how;
  how.exclusive_manual_compaction = false;
  how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  how.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kDisable;
  for (auto* handle : impl_->handles) {
    const auto status = impl_->db->CompactRange(how, handle, nullptr, nullptr);
    if (!status.ok()) return to_error(status, "give back room in " + impl_->options.directory);
  }
  return true;
}

void RocksdbEngine::stop_giving_back() {
  const Pass pass(impl_->gate);
  if (impl_->db != nullptr) impl_->db->DisableManualCompaction();
}

// ---- closing ----

Result<void> RocksdbEngine::Impl::flush_all() {
  rocksdb::FlushOptions how;
  how.wait = true;
  const auto status = db->Flush(how, {handles.begin(), handles.end()});
  if (!status.ok()) return to_error(status, "write out the store in " + options.directory);
  return ok();
}

Result<void> RocksdbEngine::close() {
  Impl& impl = *impl_;
  impl.gate.close();
  Result<void> result = ok();
  if (!impl.is_closed) {
    const bool is_writer = !impl.is_reader();
    impl.is_closed = true;
    if (is_writer && impl.db != nullptr) result = impl.flush_all();
    impl.close_database();
    if (is_writer) {
      // Under the lock again: nobody else may open what is about to be sealed.
      if (result) result = impl.lock_directory();
      if (result) result = write_seal(impl.options.directory);
      remove_pid_file(impl.options.directory);
    }
    impl.unlock_directory();
  }
  impl.gate.open();
  return result;
}

}  // namespace skep::store
