// SPDX-License-Identifier: Apache-2.0
// output.h - how commands print: aligned tables, and one task for people.
//
// Threads:   any thread.
#pragma once

#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/figures.h"
#include "base/time.h"

namespace skep::cli {

// Columns as wide as their widest cell, two blanks between them; the first row is the head.
std::string table(const std::vector<std::vector<std::string>>& rows);

// A task with its attempts' errors and its explanation, several lines.
std::string describe_task(const api::v1::Task& task, Instant now);

// How the fleet is sized now, and what keeps the scaler from it, one line.
std::string describe_scaling(const api::v1::ScalingState& state, Instant now);

// What workers cost since the start and in this month, one line; "" where they have no price.
std::string describe_cost(const api::v1::ScalingState& state);

// A result that fits on a line as it is; else how many bytes it has and how to get them.
std::string show_result(const std::string& id, const std::string& result, std::uint64_t bytes);

}  // namespace skep::cli
