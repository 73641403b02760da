// SPDX-License-Identifier: Apache-2.0
// moment.h - a moment as people write it.
//
// Threads:   any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace skep::cli {

// "2026-11-27T09:30:00Z" (the seconds and their fraction may be missing), "09:30" or "09:30:05" of the day of
// `now`, "5m" before `now`. All in UTC. kInvalid: it is none of these, or after `now`.
Result<Instant> parse_moment(std::string_view text, Instant now);

}  // namespace skep::cli
