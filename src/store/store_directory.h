// SPDX-License-Identifier: Apache-2.0
// store_directory.h - the directory of an embedded engine, and skep's own small files in it.
//
//   skep.store  what this directory is: engine, format, shards. Written when the store is made, never changed
//               after.
//   skep.pid    the process that has the store open, for people; the lock is that of the file LOCK.
//   skep.tokens  store/token_store.h.
//   skep.fleet   store/fleet_store.h.
//   skep.seal   written by a clean close: every file with its size, the small ones with a checksum. Gone
//               while the store is open, so one that is there must match.
//
// Threads:   any thread; the caller holds the lock of the directory where it writes.
// Errors:    kInvalid: the directory can not be used as it is; kUnavailable: not now (disk full, I/O error);
//            kCorrupt: what is there is not what was written. Each message names the directory or file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"
#include "task/id.h"
#include "task/store_number.h"

namespace skep::store {

inline constexpr std::string_view kRocksdbEngine = "rocksdb";
inline constexpr std::string_view kLogEngine = "log";
inline constexpr std::string_view kTokensFileName = "skep.tokens";
inline constexpr std::string_view kFleetFileName = "skep.fleet";

struct StoreFile {
  std::uint32_t format = 0;
  ShardId shard_count = 0;
  bool is_ready = false;   // false while the store is being made
  std::string created_by;  // version of skep
  std::string created_at;  // RFC 3339
  std::string engine = std::string(kRocksdbEngine);
  // Drawn when the store is made. What the engine writes beside clients' bytes is told from them by it, so
  // that nobody can send a body that passes for a commit.
  std::uint64_t secret = 0;
};

// From the system's source of random numbers; never 0.
std::uint64_t draw_secret();
// The same for all time for one secret.
constexpr StoreNumber number_of_secret(std::uint64_t secret) {
  return static_cast<StoreNumber>(1 + secret % kStoreNumberMax);
}

// What is there: nothing (an empty or missing directory whose parent exists), or a store. kInvalid for all
// else: not a directory, missing parent, no permission, something else's files, a newer format. Touches
// nothing.
Result<std::optional<StoreFile>> look_at_directory(const std::string& directory);
// kInvalid: what is there was made by another engine than this one.
Result<void> check_engine(const std::string& directory, const std::optional<StoreFile>& found,
                          std::string_view engine);

// Makes the directory if it is missing.
Result<void> make_directory(const std::string& directory);
// Replaces skep.store, durably and as a whole.
Result<void> write_store_file(const std::string& directory, const StoreFile& file);

void write_pid_file(const std::string& directory);
void remove_pid_file(const std::string& directory);
// "process 123" or "another process", for the sentence about a held lock.
std::string describe_holder(const std::string& directory);

Result<void> write_seal(const std::string& directory);
// Success: whether there was a seal; it matches. `keep`: of a store that is only looked at.
enum class AfterCheck : std::uint8_t { kKeep, kRemove };
Result<bool> check_seal(const std::string& directory, AfterCheck after);

// Sums of file sizes and of the disk that holds the directory; 0 where they can not be found out.
std::uint64_t directory_bytes(const std::string& directory);
std::uint64_t disk_free_bytes(const std::string& directory);
// `wanted` is the reserve, but at most a quarter of a small disk. Unlimited where it can not be found out.
DiskRoom disk_room(const std::string& directory, std::uint64_t wanted);

// Replaces a file of lines, durably and as a whole, with a checksum at its end; nobody but its owner reads
// it, who is that of the directory.
Result<void> write_secret_file(const std::string& directory, std::string_view name, std::string text);
// The text of a file with such an end, without that. kNotFound if there is none.
Result<std::string> read_checked_file(const std::string& path);

// The bytes of a file. Not mapped: a bad sector is an error here, and would be a signal there.
Result<std::string> read_file(const std::string& path);
// Cuts a file to `bytes`, durably.
Result<void> truncate_file(const std::string& path, std::uint64_t bytes);
// Makes what was created, renamed or removed in it durable.
Result<void> sync_directory(const std::string& directory);

// The sentence for an errno: "DOING: NO SPACE LEFT ON DEVICE", with the code that fits.
Error os_error(int error, const std::string& doing);
// The same error to one whose store was open already: kInvalid is kUnavailable then, for nothing that he
// asked is wrong.
Error as_outage(Error error);

}  // namespace skep::store
