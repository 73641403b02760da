// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_tuning.h"

#include <rocksdb/cache.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <cstdarg>
#include <cstdio>
#include <utility>

namespace skep::store {
namespace {

// Shorter values stay in the table itself, where reading one costs one access less.
constexpr std::uint64_t kBlobBytesMin = 1'024;
constexpr std::uint64_t kBlobFileBytes = std::uint64_t{64} << 20;
constexpr int kOpenFilesMax = 512;

// What RocksDB has to say goes to the log of this program. A log file of its own, in the store's directory,
// would abort the process: RocksDB asserts that no line is written to it after one that found the disk full.
class ForwardingLogger final : public rocksdb::Logger {
 public:
  explicit ForwardingLogger(skep::Logger log) : rocksdb::Logger(rocksdb::WARN_LEVEL), log_(std::move(log)) {}

  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level == rocksdb::HEADER_LEVEL) return;
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    if (level == rocksdb::WARN_LEVEL) {
      log_.debug("rocksdb warns", {{"text", text}});
    } else {
      log_.warn("rocksdb reports an error", {{"text", text}});
    }
  }

 private:
  const skep::Logger log_;
};

}  // namespace

rocksdb::DBOptions tuned_database(const EngineOptions& options,
                                  std::shared_ptr<rocksdb::EventListener> listener, Logger log) {
  rocksdb::DBOptions db;
  if (options.env != nullptr) db.env = options.env;
  db.listeners = {std::move(listener)};
  db.create_if_missing = options.mode == EngineMode::kCreate;
  db.create_missing_column_families = options.mode == EngineMode::kCreate;

  // docs/decisions/wal_recovery.md: the logs were looked through and cut before, so from here on every doubt
  // is an error. A reader cuts nothing, so for it a torn end must be no error.
  const bool is_reader = options.mode == EngineMode::kReadOnly;
  db.wal_recovery_mode = is_reader ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                   : rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  db.track_and_verify_wals_in_manifest = true;
  db.paranoid_checks = true;
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.info_log = std::make_shared<ForwardingLogger>(std::move(log));

  // All tables share the logs, so the one that is seldom written would keep them all.
  db.max_total_wal_size = options.log_bytes_max;
  db.db_write_buffer_size = options.write_buffer_bytes;
  db.max_open_files = kOpenFilesMax;
  db.max_background_jobs = 2;
  db.bytes_per_sync = std::uint64_t{1}
                      << 20;  // spreads the writing of large files, so that commits wait less
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  // Healing is the engine's own (rocksdb_engine.h).
  db.max_bgerror_resume_count = 0;
  return db;
}

rocksdb::ColumnFamilyOptions tuned_table(Table table, const EngineOptions& options,
                                         const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions cf;
  const bool is_small = table == Table::kMeta || table == Table::kQueues;
  const bool has_blobs = table == Table::kBodies || table == Table::kResults;
  cf.write_buffer_size = is_small ? std::size_t{1} << 20 : options.write_buffer_bytes / 4;
  cf.compression = rocksdb::kLZ4Compression;
  cf.level_compaction_dynamic_level_bytes = true;
  // Tasks come, are leased and end in the order of their keys, so that the next place is beside the last one.
  if (!is_small) cf.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(2));

  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = cache;
  blocks.block_size = std::size_t{16} << 10;
  if (has_blobs) blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));

  if (!is_small) {
    // Tasks are erased in the order of their age, which leaves long runs of tombstones for load() to walk
    // over.
    cf.table_properties_collector_factories.push_back(
        rocksdb::NewCompactOnDeletionCollectorFactory(32'768, 16'384, 0.5));
  }
  if (has_blobs) {
    cf.enable_blob_files = true;
    cf.min_blob_size = kBlobBytesMin;
    cf.blob_file_size = kBlobFileBytes;
    cf.blob_compression_type = rocksdb::kLZ4Compression;
    // Bodies live as long as their task, minutes mostly: what is in the older half of the files is garbage
    // mostly.
    cf.enable_blob_garbage_collection = true;
    cf.blob_garbage_collection_age_cutoff = 0.5;
    cf.blob_garbage_collection_force_threshold = 0.5;
  }
  return cf;
}

}  // namespace skep::store
