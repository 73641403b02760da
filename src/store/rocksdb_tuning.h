// SPDX-License-Identifier: Apache-2.0
// rocksdb_tuning.h - how RocksDB is set up: every option that differs from its default, with the reason.
//
// Threads:   any thread.
#pragma once

#include <memory>

#include "base/log.h"
#include "store/rocksdb_engine.h"

namespace rocksdb {
class EventListener;
struct DBOptions;
struct ColumnFamilyOptions;
class Cache;
}  // namespace rocksdb

namespace skep::store {

rocksdb::DBOptions tuned_database(const EngineOptions& options,
                                  std::shared_ptr<rocksdb::EventListener> listener, Logger log);
rocksdb::ColumnFamilyOptions tuned_table(Table table, const EngineOptions& options,
                                         const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace skep::store
