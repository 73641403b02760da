// SPDX-License-Identifier: Apache-2.0
#include "cli/moment.h"

#include <charconv>
#include <optional>
#include <string>

namespace skep::cli {
namespace {

// Takes exactly `digits` digits off `text`.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  int value = 0;
  if (text.size() < digits) return std::nullopt;
  const auto parsed = std::from_chars(text.data(), text.data() + digits, value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + digits || text.front() == '-')
    return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char mark) {
  if (text.empty() || text.front() != mark) return false;
  text.remove_prefix(1);
  return true;
}

// "09:30", "09:30:05", "09:30:05.250"
std::optional<Duration> take_time_of_day(std::string_view& text) {
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  Duration time = hours(*hour) + minutes(*minute);
  if (!take(text, ':')) return time;
  const auto second = take_digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  time += seconds(*second);
  if (!take(text, '.')) return time;
  Duration unit = seconds(1);
  bool has_digit = false;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    unit /= 10;
    time += unit * (text.front() - '0');
    text.remove_prefix(1);
    has_digit = true;
  }
  return has_digit ? std::optional(time) : std::nullopt;
}

std::optional<Instant> parse_date_and_time(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || *year < 1970 || *year > 2250 || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !(take(text, 'T') || take(text, ' '))) return std::nullopt;
  const auto time = take_time_of_day(text);
  take(text, 'Z');
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!time || !text.empty() || !date.ok()) return std::nullopt;
  return Instant(std::chrono::sys_days(date).time_since_epoch() + *time);
}

std::optional<Instant> parse_any(std::string_view text, Instant now) {
  if (const auto at = parse_date_and_time(text)) return at;
  if (std::string_view rest = text; const auto time = take_time_of_day(rest)) {
    take(rest, 'Z');
    if (!rest.empty()) return std::nullopt;
    return Instant(std::chrono::floor<std::chrono::days>(now.time_since_epoch()) + *time);
  }
  if (const auto ago = parse_duration(text)) return now - ago.value();
  return std::nullopt;
}

}  // namespace

Result<Instant> parse_moment(std::string_view text, Instant now) {
  const auto at = parse_any(text, now);
  if (!at) {
    return fail(Code::kInvalid, "'" + std::string(text) +
                                    "' is not a moment: write 2026-11-27T09:30:00Z, 09:30 of today (UTC), or "
                                    "5m for five minutes ago");
  }
  if (*at > now) {
    return fail(Code::kInvalid,
                "'" + std::string(text) + "' is still to come: now it is " + format_instant(now));
  }
  return *at;
}

}  // namespace skep::cli
