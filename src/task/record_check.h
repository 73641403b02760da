// SPDX-License-Identifier: Apache-2.0
// record_check.h - what must hold between the fields of a stored record.
//
// The codec (record.h) holds each field to its range; this holds the fields to each other, as every sequence
// of the core's moves leaves them. Instants are not compared with each other: after a restart the machine's
// clock may stand before what was stored. For `skep verify` and for tests.
//
// Threads:   any thread.
#pragma once

#include <string>
#include <vector>

#include "task/task.h"

namespace skep {

// What is wrong, one clause each ("it is done and has no completion"); empty if nothing is. `epoch` is the
// newest of the record's shard.
std::vector<std::string> check_record(const TaskRecord& record, Epoch epoch);
std::vector<std::string> check_record(const QueueRecord& record);

}  // namespace skep
