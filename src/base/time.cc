// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace skep {
namespace {

constexpr std::int64_t kNanosPerMs = 1'000'000;
constexpr Duration kDurationMax = hours(24) * 36525;  // 100 years of 365.25 days

struct DurationUnit {
  std::string_view name;
  Duration size;
};

constexpr std::array kDurationUnits = {
    DurationUnit{"d", hours(24)},    DurationUnit{"h", hours(1)},         DurationUnit{"m", minutes(1)},
    DurationUnit{"s", seconds(1)},   DurationUnit{"ms", milliseconds(1)}, DurationUnit{"us", microseconds(1)},
    DurationUnit{"ns", Duration(1)},
};

struct BytesUnit {
  std::string_view name;
  std::uint64_t size;
};

constexpr std::array kBytesUnits = {
    BytesUnit{"", 1},
    BytesUnit{"B", 1},
    BytesUnit{"KiB", std::uint64_t{1} << 10},
    BytesUnit{"MiB", std::uint64_t{1} << 20},
    BytesUnit{"GiB", std::uint64_t{1} << 30},
    BytesUnit{"TiB", std::uint64_t{1} << 40},
    BytesUnit{"KB", 1'000},
    BytesUnit{"MB", 1'000'000},
    BytesUnit{"GB", 1'000'000'000},
    BytesUnit{"TB", 1'000'000'000'000},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes the digits at the front of `text`; false if there are none or they overflow.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

Error bad_duration(std::string_view text, std::string_view why) {
  return fail(Code::kInvalid, "'" + std::string(text) + "' is not a duration: " + std::string(why));
}

Error bad_bytes(std::string_view text, std::string_view why) {
  return fail(Code::kInvalid, "'" + std::string(text) + "' is not a size: " + std::string(why));
}

std::string one_decimal(std::uint64_t tenths) {
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

}  // namespace

std::int64_t to_unix_ms(Instant instant) {
  if (instant == kNever) return -1;
  return std::chrono::floor<milliseconds>(instant.time_since_epoch()).count();
}

Instant from_unix_ms(std::int64_t ms) {
  if (ms < 0 || ms > std::numeric_limits<std::int64_t>::max() / kNanosPerMs) return kNever;
  return Instant(milliseconds(ms));
}

Instant add_saturated(Instant at, Duration by) {
  if (at == kNever) return kNever;
  Duration::rep sum = 0;
  if (!__builtin_add_overflow(at.time_since_epoch().count(), by.count(), &sum)) return Instant(Duration(sum));
  return by > Duration::zero() ? kNever : Instant::min();
}

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration::zero();
  if (text.empty()) return bad_duration(text, "it is empty");
  Duration total{};
  std::string_view rest = text;
  // The largest unit that may still come: 1h30m, never 30m1h or 1h1h.
  std::size_t unit_min = 0;
  while (!rest.empty()) {
    std::uint64_t count = 0;
    if (!is_digit(rest.front()) || !take_number(rest, count)) {
      return bad_duration(text, "write a number and a unit, such as 250ms, 30s, 5m, 1h30m");
    }
    std::size_t name_size = 0;
    while (name_size < rest.size() && !is_digit(rest[name_size])) ++name_size;
    std::size_t unit = unit_min;
    while (unit < kDurationUnits.size() && kDurationUnits[unit].name != rest.substr(0, name_size)) ++unit;
    if (unit == kDurationUnits.size())
      return bad_duration(text, "units are d, h, m, s, ms, us, ns, largest first");
    const Duration size = kDurationUnits[unit].size;
    if (count > static_cast<std::uint64_t>((kDurationMax - total) / size)) {
      return bad_duration(text, "it is more than 100 years");
    }
    total += size * static_cast<std::int64_t>(count);
    rest.remove_prefix(name_size);
    unit_min = unit + 1;
  }
  return total;
}

std::string format_duration(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  std::string text;
  if (duration < Duration::zero()) text += '-';
  for (const DurationUnit& unit : kDurationUnits) {
    const std::int64_t count = duration / unit.size;
    if (count == 0) continue;
    duration -= unit.size * count;
    text += std::to_string(count < 0 ? -count : count);
    text += unit.name;
  }
  return text;
}

std::string describe_duration(Duration duration) {
  if (duration == Duration::min()) duration += Duration(1);
  if (duration < Duration::zero()) return "-" + describe_duration(-duration);
  if (duration < microseconds(1)) return duration == Duration::zero() ? "0s" : format_duration(duration);
  if (duration < milliseconds(1)) return std::to_string(duration / microseconds(1)) + "us";
  if (duration < seconds(1)) return std::to_string(duration / milliseconds(1)) + "ms";
  if (duration < minutes(1)) {
    const auto tenths = static_cast<std::uint64_t>(duration / milliseconds(100));
    return (tenths % 10 == 0 ? std::to_string(tenths / 10) : one_decimal(tenths)) + "s";
  }
  // From a minute on: the largest unit that fits and the one below it.
  std::size_t unit = 0;
  while (duration < kDurationUnits[unit].size) ++unit;
  const DurationUnit& large = kDurationUnits[unit];
  const DurationUnit& small = kDurationUnits[unit + 1];
  std::string text = std::to_string(duration / large.size) + std::string(large.name);
  const std::int64_t rest = duration % large.size / small.size;
  if (rest != 0) text += " " + std::to_string(rest) + std::string(small.name);
  return text;
}

std::string format_instant(Instant instant) {
  if (instant == kNever || instant == kNoInstant) return "never";
  const auto since_epoch = std::chrono::floor<milliseconds>(instant.time_since_epoch());
  const std::chrono::sys_time<milliseconds> at(since_epoch);
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  return buffer.data();
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t count = 0;
  if (rest.empty() || !is_digit(rest.front()))
    return bad_bytes(text, "write a number and a unit, such as 64KiB");
  if (!take_number(rest, count)) return bad_bytes(text, "it is too large");
  for (const BytesUnit& unit : kBytesUnits) {
    if (unit.name != rest) continue;
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, unit.size, &bytes)) return bad_bytes(text, "it is too large");
    return bytes;
  }
  return bad_bytes(text, "units are B, KiB, MiB, GiB, TiB, KB, MB, GB, TB");
}

std::string describe_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kNames = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::size_t name = 0;
  std::uint64_t unit = 1024;
  while (name + 1 < kNames.size() && bytes / unit >= 1024) {
    unit *= 1024;
    ++name;
  }
  // Cut, not rounded, so that the number never reaches 1024.0.
  const std::uint64_t tenths = bytes / unit * 10 + bytes % unit / (unit / 1024) * 10 / 1024;
  return one_decimal(tenths) + " " + std::string(kNames[name]);
}

}  // namespace skep
