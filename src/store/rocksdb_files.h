// SPDX-License-Identifier: Apache-2.0
// rocksdb_files.h - RocksDB's data files against the checksums that its list of files holds of them.
//
// The tables (.sst) are compared before RocksDB opens them: it parses their last blocks before it compares a
// checksum, and 7.8 ends the process on some flipped bytes there, or names another file.
//
// Threads:   any thread.
// Errors:    kCorrupt: the list of files can not be read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rocksdb {
class DB;
class Env;
}  // namespace rocksdb

namespace skep::store {

struct FileCheck {
  std::vector<std::string> findings;  // a sentence for each file that differs or is missing
  std::uint64_t files = 0;            // that were read
  std::uint64_t bytes = 0;
};

// The tables that the MANIFEST at this path lists. One that is missing is left to RocksDB, which names it.
Result<FileCheck> check_tables(const std::string& directory, const std::string& manifest, rocksdb::Env& env);
// Every file that the open database uses.
Result<FileCheck> check_live_files(const std::string& directory, rocksdb::DB& db);

}  // namespace skep::store
