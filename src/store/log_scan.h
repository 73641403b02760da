// SPDX-License-Identifier: Apache-2.0
// log_scan.h - reads RocksDB's write-ahead logs before RocksDB does, and tells a torn end from damage.
//
// RocksDB takes a record with a damaged length or type for the end of the log and silently drops what
// follows, be it acknowledged or not (docs/decisions/wal_recovery.md). So the engine looks first. Every
// commit carries a voucher: the newest sequence number that was durable when it was made. What is broken is
// then either
//   torn:    the end of writes that nobody was promised: a power loss leaves that behind. It is cut off;
//   damaged: somebody was promised these bytes, or they are all there and wrong. The store is not opened.
//
// Threads:   any thread.
// Errors:    kCorrupt names the file and the place of the damage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep::store {

// A log file as it lies on the disk.
struct LogFile {
  std::string name;
  std::string bytes;
};

// What of it is to be kept.
struct LogCut {
  std::string name;
  std::uint64_t keep_bytes = 0;
  std::uint64_t torn_bytes = 0;
};

// The logs in the order they were written in, of the store with that secret: what does not carry it is no
// commit, but bytes that a client sent. Without it (skep.store is lost) every voucher is believed. Success:
// what to cut; mostly nothing.
Result<std::vector<LogCut>> scan_logs(const std::vector<LogFile>& logs, std::optional<std::uint64_t> secret);

// RocksDB's list of files has the same format; it may have a torn end too, which RocksDB itself ignores.
Result<void> scan_manifest(const LogFile& manifest);

// The voucher as it stands in a commit.
std::string encode_voucher(std::uint64_t secret, std::uint64_t durable_sequence);

}  // namespace skep::store
