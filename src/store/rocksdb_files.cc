// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_files.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>

#include <filesystem>
#include <memory>

#include "base/hash.h"
#include "store/store_directory.h"

namespace rocksdb {
// Exported by the library and declared in none of its public headers before 8.x, which has
// GetFileChecksumsFromCurrentManifest instead.
Status GetFileChecksumsFromManifest(Env* src_env, const std::string& abs_path,
                                    std::uint64_t manifest_file_size, FileChecksumList* checksum_list);
}  // namespace rocksdb

namespace skep::store {
namespace {

namespace fs = std::filesystem;

struct Listed {
  std::string name;  // without what it ends in
  std::string checksum;
};

Result<std::vector<Listed>> names_of(rocksdb::FileChecksumList& list, const std::string& directory) {
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> checksums;
  std::vector<std::string> kinds;
  const auto status = list.GetAllFileChecksums(&numbers, &checksums, &kinds);
  if (!status.ok()) {
    return fail(Code::kCorrupt, "list the files of " + directory + ": " + status.ToString());
  }
  std::vector<Listed> names;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::string name = std::to_string(numbers[i]);
    if (name.size() < 6) name.insert(0, 6 - name.size(), '0');
    names.push_back({directory + "/" + name, checksums[i]});
  }
  return names;
}

void check_file(const std::string& path, const std::string& checksum, FileCheck& check) {
  const auto bytes = read_file(path);
  if (!bytes) {
    check.findings.push_back(bytes.error().message);
    return;
  }
  ++check.files;
  check.bytes += bytes.value().size();
  std::string found;  // RocksDB keeps it big-endian
  const std::uint32_t crc = crc32c(bytes.value());
  for (int shift = 24; shift >= 0; shift -= 8) found.push_back(static_cast<char>(crc >> shift));
  if (found != checksum) check.findings.push_back(path + " is damaged: its checksum does not match");
}

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

}  // namespace

Result<FileCheck> check_tables(const std::string& directory, const std::string& manifest, rocksdb::Env& env) {
  const std::unique_ptr<rocksdb::FileChecksumList> list(rocksdb::NewFileChecksumList());
  std::error_code error;
  const auto status =
      rocksdb::GetFileChecksumsFromManifest(&env, manifest, fs::file_size(manifest, error), list.get());
  if (!status.ok()) return fail(Code::kCorrupt, manifest + " can not be read: " + status.ToString());
  SKEP_TRY(const auto names, names_of(*list, directory));
  FileCheck check;
  for (const auto& [name, checksum] : names) {
    if (is_there(name + ".sst")) check_file(name + ".sst", checksum, check);
  }
  return check;
}

Result<FileCheck> check_live_files(const std::string& directory, rocksdb::DB& db) {
  const std::unique_ptr<rocksdb::FileChecksumList> list(rocksdb::NewFileChecksumList());
  const auto status = db.GetLiveFilesChecksumInfo(list.get());
  if (!status.ok()) {
    return fail(Code::kCorrupt, "list the files of " + directory + ": " + status.ToString());
  }
  SKEP_TRY(const auto names, names_of(*list, directory));
  FileCheck check;
  for (const auto& [name, checksum] : names) {
    check_file(is_there(name + ".sst") ? name + ".sst" : name + ".blob", checksum, check);
  }
  return check;
}

}  // namespace skep::store
