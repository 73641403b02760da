// SPDX-License-Identifier: Apache-2.0
// time.h - instants and durations as types, and their text forms.
//
// An Instant is nanoseconds since the Unix epoch on skep's own clock (base/clock.h): it starts at the
// system's wall time and then advances with the monotonic clock, so a jump of the wall clock moves nothing.
//
// Threads:   value.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace skep {

using Duration = std::chrono::nanoseconds;

// Tag for std::chrono::time_point; it has no now(): time comes in as an argument.
struct TimeLine {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<TimeLine, Duration>;
  static constexpr bool is_steady = true;
};

using Instant = TimeLine::time_point;

using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// The instant that never comes: a deadline nobody set.
inline constexpr Instant kNever = Instant::max();
// The value of an instant that has not happened.
inline constexpr Instant kNoInstant = Instant{};

// Milliseconds since the Unix epoch; kNoInstant is 0 and kNever is -1.
std::int64_t to_unix_ms(Instant instant);
// The inverse; 0 gives kNoInstant, a negative number kNever.
Instant from_unix_ms(std::int64_t ms);

// `at + by`, held at kNever instead of overflowing.
Instant add_saturated(Instant at, Duration by);

// "250ms", "30s", "5m", "2h", "1d", "1h30m", or "0". kInvalid: no unit, unknown unit, negative, more than 100
// years.
Result<Duration> parse_duration(std::string_view text);
// The shortest exact form that parse_duration reads back, down to nanoseconds: "1h30m", "250ms", "0s".
std::string format_duration(Duration duration);
// For people: at most two units, "1.2s", "3m 20s", "450ms".
std::string describe_duration(Duration duration);
// RFC 3339 in UTC with milliseconds: "2026-01-31T23:59:59.123Z". kNoInstant and kNever give "never".
std::string format_instant(Instant instant);

// "4096", "64KiB", "64MiB", "10GiB" (also KB, MB, GB as powers of 1000). kInvalid: unknown unit, overflow.
Result<std::uint64_t> parse_bytes(std::string_view text);
// For people: "512 B", "64.0 KiB", "1.5 GiB".
std::string describe_bytes(std::uint64_t bytes);

}  // namespace skep
