// SPDX-License-Identifier: Apache-2.0
#include "engines.h"

#include <stdlib.h>

#include <filesystem>

#include "base/check.h"
#include "base/clock.h"
#include "postgres_server.h"
#include "store/log_store.h"
#include "store/memory_store.h"
#include "store/postgres_store.h"
#include "store/rocksdb_store.h"
#include "store/testing/faulty_disk.h"
#include "store/testing/faulty_segment_disk.h"

namespace skep::contract {
namespace {

constexpr std::uintmax_t kWantedBytes = std::uintmax_t{1} << 28;

class MemoryEngine final : public Engine {
 public:
  Result<std::unique_ptr<store::Store>> open(ShardId shard_count) override {
    if (!disk_) disk_ = std::make_shared<store::MemoryDisk>(shard_count, clock_);
    return std::unique_ptr<store::Store>(std::make_unique<store::MemoryStore>(disk_));
  }
  Result<std::unique_ptr<store::TokenStore>> open_tokens() override { return store::make_memory_tokens(); }
  Result<std::unique_ptr<store::FleetStore>> open_fleet(const Clock& clock) override {
    return store::make_memory_fleet(clock);
  }
  void power_off() override {}
  void power_on(Random& random) override { disk_->crash(random.below(disk_->soft_commits() + 1)); }

 private:
  const SystemClock clock_;
  std::shared_ptr<store::MemoryDisk> disk_;
};

class RocksdbEngine final : public Engine {
 public:
  Result<std::unique_ptr<store::Store>> open(ShardId shard_count) override {
    store::RocksdbOptions options;
    options.directory = directory_.path() + "/store";
    options.shard_count = shard_count;
    // Small, so that a short history is written out, merged and collected too.
    options.write_buffer_bytes = 1 << 18;
    options.log_bytes_max = 1 << 19;
    disk_ = std::make_unique<store::testing::FaultyDisk>();
    options.env = disk_->env();
    return store::open_rocksdb(options, Logger());
  }
  Result<std::unique_ptr<store::TokenStore>> open_tokens() override {
    return store::open_directory_tokens(directory_.path() + "/store");
  }
  Result<std::unique_ptr<store::FleetStore>> open_fleet(const Clock& clock) override {
    return store::open_directory_fleet(directory_.path() + "/store", clock);
  }
  void power_off() override { disk_->power_off(); }
  void power_on(Random& random) override { disk_->lose_unsynced(random); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<store::testing::FaultyDisk> disk_;
};

class LogEngine final : public Engine {
 public:
  Result<std::unique_ptr<store::Store>> open(ShardId shard_count) override {
    store::LogOptions options;
    options.directory = directory_.path() + "/store";
    options.shard_count = shard_count;
    // Small, so that a short history fills segments, and they are collected and used again.
    options.segment_bytes = 1 << 16;
    options.slack_bytes = 1 << 18;
    disk_ = std::make_unique<store::testing::FaultySegmentDisk>();
    options.disk = disk_->disk();
    return store::open_log(options, Logger());
  }
  Result<std::unique_ptr<store::TokenStore>> open_tokens() override {
    return store::open_directory_tokens(directory_.path() + "/store");
  }
  Result<std::unique_ptr<store::FleetStore>> open_fleet(const Clock& clock) override {
    return store::open_directory_fleet(directory_.path() + "/store", clock);
  }
  void power_off() override { disk_->power_off(); }
  void power_on(Random& random) override { disk_->lose_unsynced(random); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<store::testing::FaultySegmentDisk> disk_;
};

// A database of its own in the server of the whole run. Its power is that of the server's processes: what
// they had in memory is gone.
class PostgresEngine final : public Engine {
 public:
  Result<std::unique_ptr<store::Store>> open(ShardId shard_count) override {
    if (conninfo_.empty()) conninfo_ = PostgresServer::shared().make_database();
    return store::open_postgres({.conninfo = conninfo_, .shard_count = shard_count}, Logger());
  }
  Result<std::unique_ptr<store::TokenStore>> open_tokens() override {
    if (conninfo_.empty()) conninfo_ = PostgresServer::shared().make_database();
    return store::open_postgres_tokens(conninfo_);
  }
  Result<std::unique_ptr<store::FleetStore>> open_fleet(const Clock&) override {
    if (conninfo_.empty()) conninfo_ = PostgresServer::shared().make_database();
    return store::open_postgres_fleet(conninfo_);
  }
  void power_off() override { PostgresServer::shared().kill(); }
  void power_on(Random&) override { PostgresServer::shared().start(); }

 private:
  std::string conninfo_;
};

}  // namespace

std::vector<EngineKind> all_engines() {
  return {{"memory", [] { return std::make_unique<MemoryEngine>(); }, "", false, true},
          {"rocksdb", [] { return std::make_unique<RocksdbEngine>(); }, "", true},
          {"log", [] { return std::make_unique<LogEngine>(); }, "", true},
          {"postgres", [] { return std::make_unique<PostgresEngine>(); }, PostgresServer::why_not(), false,
           true}};
}

TemporaryDirectory::TemporaryDirectory() {
  // In memory where there is enough of it: faults are simulated, so waiting for a real disk proves nothing
  // more.
  std::filesystem::path parent = "/dev/shm";
  std::error_code error;
  const auto space = std::filesystem::space(parent, error);
  if (error || space.available < kWantedBytes || ::getenv("TMPDIR") != nullptr) {
    parent = std::filesystem::temp_directory_path();
  }
  std::string pattern = (parent / "skep-test-XXXXXX").string();
  SKEP_CHECK(::mkdtemp(pattern.data()) != nullptr, "a temporary directory is needed");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace skep::contract
