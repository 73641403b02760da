// SPDX-License-Identifier: Apache-2.0
// record.h - the stored form of a task and of a queue's settings.
//
// A record is: one byte format version, the fields, four bytes CRC-32C of all before. docs/store_format.md is
// the description byte by byte; a change of the layout raises the version there and here, and old ones stay
// readable.
//
// Threads:   any thread.
// Errors:    kCorrupt: checksum, truncation, a value outside its range, or a version newer than this
// program's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "task/task.h"

namespace skep {

// What is written. A task's record of version 1 has no fields of checkpoints, one of version 2 none of
// parameters and usage, one of version 3 no trace.
inline constexpr std::uint8_t kRecordVersion = 4;
inline constexpr std::uint8_t kBlobVersion = 1;

// Appends the stored form to `out`.
void encode(const TaskRecord& record, std::string& out);
void encode(const QueueRecord& record, std::string& out);

Result<TaskRecord> decode_task(std::string_view bytes);
Result<QueueRecord> decode_queue(std::string_view bytes);

// A blob (body or result) as stored: version, the bytes, CRC-32C of all before and of the task's id, so that
// a blob under the wrong key is noticed.
void encode_blob(const TaskId& task, std::string_view bytes, std::string& out);
Result<std::string> decode_blob(const TaskId& task, std::string_view stored);

// For who reads and writes blobs in place. The checksum of a blob of the present version, and how much longer
// than its bytes it is stored: the version before them, the checksum after them, lowest byte first.
std::uint32_t blob_checksum(const TaskId& task, std::string_view bytes);
inline constexpr std::size_t kBlobFrameBytes = 5;

// The checksums alone, of what is only moved. kCorrupt as decoding gives it.
Result<void> check_record_bytes(std::string_view bytes);
Result<void> check_blob_bytes(const TaskId& task, std::string_view stored);

}  // namespace skep
