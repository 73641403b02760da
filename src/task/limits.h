// SPDX-License-Identifier: Apache-2.0
// limits.h - every bound of the system that is about tasks, in one table.
//
// docs/protocol.md shows those that users meet. What can be configured starts from these values.
//
// Threads:   constants.
// Units:     bytes, counts, durations as types.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace skep::limits {

inline constexpr std::size_t kBodyBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kResultBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kBatchTasksMax = 1'000;
inline constexpr std::size_t kBatchBytesMax = std::size_t{32} << 20;     // one request with many tasks
inline constexpr std::uint64_t kIterationsMax = std::uint64_t{1} << 53;  // exact in every JSON reader
inline constexpr std::size_t kCheckpointBytes = 64;                      // a digest of SHA-512
inline constexpr std::uint32_t kPriorityMax = 9;
inline constexpr std::uint32_t kPriorityDefault = 5;
inline constexpr std::uint32_t kAttemptsMaxDefault = 5;
inline constexpr std::uint32_t kAttemptsMaxMax = 100;
inline constexpr std::uint32_t kWorkersLostMax = 5;  // the infrastructure budget of a task
inline constexpr std::size_t kNameBytesMax = 64;     // queue, kind, program, tag
inline constexpr std::size_t kTagsMax = 16;
inline constexpr std::size_t kParametersMax = 16;
inline constexpr std::size_t kParameterBytesMax = 4'096;  // of a value
inline constexpr std::size_t kIdempotencyKeyBytesMax = 128;
inline constexpr std::size_t kTraceParentBytes = 55;     // the header, version 00
inline constexpr std::size_t kTraceStateBytesMax = 512;  // what every carrier must take
inline constexpr std::size_t kErrorBytesMax = 2'048;     // of one attempt's message
inline constexpr std::size_t kErrorsKept = 16;           // attempts' errors kept with a task, newest last
inline constexpr std::size_t kQueuesMax = 1'000;
inline constexpr std::size_t kLeaseMax = 1'000;  // tasks in one acquire
inline constexpr std::size_t kPullMax = 10'000;
inline constexpr std::size_t kPullBytesMax = std::size_t{16} << 20;  // results in one answer: about so many
inline constexpr std::size_t kListMax = 1'000;
inline constexpr Duration kWaitMax = minutes(5);  // of a long-poll
inline constexpr Duration kDelayMax = hours(24 * 365);
inline constexpr Duration kRunTimeoutMax = hours(24 * 30);
inline constexpr Duration kBackoffFirst = seconds(1);
inline constexpr Duration kBackoffMax = minutes(5);
inline constexpr Duration kRetentionDefault = hours(1);  // of a result after it was delivered
inline constexpr Duration kDeadRetentionDefault = hours(24 * 30);
inline constexpr std::uint64_t kRetentionBytesDefault = std::uint64_t{1} << 30;  // delivered results, a queue

}  // namespace skep::limits
