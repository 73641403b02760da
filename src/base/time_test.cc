// SPDX-License-Identifier: Apache-2.0
// Text forms of time and size: what is accepted, what is refused, and that writing and reading are inverses.
#include "base/time.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/clock.h"
#include "base/random.h"

namespace skep {
namespace {

constexpr Instant at_ms(std::int64_t ms) {
  return Instant(milliseconds(ms));
}

TEST(UnixMs, NeverAndNoInstantHaveValuesOfTheirOwn) {
  EXPECT_EQ(to_unix_ms(kNoInstant), 0);
  EXPECT_EQ(to_unix_ms(kNever), -1);
  EXPECT_EQ(from_unix_ms(0), kNoInstant);
  EXPECT_EQ(from_unix_ms(-1), kNever);
  EXPECT_EQ(from_unix_ms(-500), kNever);
}

TEST(UnixMs, WritingAndReadingAreInverses) {
  EXPECT_EQ(from_unix_ms(to_unix_ms(at_ms(1'769'903'999'123))), at_ms(1'769'903'999'123));
}

TEST(UnixMs, WhatAnInstantCannotHoldIsNever) {
  EXPECT_EQ(from_unix_ms(std::numeric_limits<std::int64_t>::max()), kNever);
}

TEST(AddSaturated, StopsAtTheEndsInsteadOfOverflowing) {
  EXPECT_EQ(add_saturated(at_ms(10), milliseconds(5)), at_ms(15));
  EXPECT_EQ(add_saturated(at_ms(10), milliseconds(-5)), at_ms(5));
  EXPECT_EQ(add_saturated(at_ms(10), Duration::max()), kNever);
  EXPECT_EQ(add_saturated(kNever, seconds(-1)), kNever);
  EXPECT_EQ(add_saturated(Instant(Duration(-2)), Duration::min()), Instant::min());
}

TEST(ParseDuration, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_duration("0").value(), Duration::zero());
  EXPECT_EQ(parse_duration("0s").value(), Duration::zero());
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("30s").value(), seconds(30));
  EXPECT_EQ(parse_duration("5m").value(), minutes(5));
  EXPECT_EQ(parse_duration("2h").value(), hours(2));
  EXPECT_EQ(parse_duration("1d").value(), hours(24));
  EXPECT_EQ(parse_duration("1h30m").value(), minutes(90));
  EXPECT_EQ(parse_duration("90m").value(), minutes(90));
  EXPECT_EQ(parse_duration("1s500ms7us3ns").value(), Duration(1'500'007'003));
}

TEST(ParseDuration, RefusesWhatIsNotOne) {
  for (const char* text :
       {"", "5", "s", "-5s", "+5s", "5x", "5 s", "1.5s", "5s ", " 5s", "30m1h", "1h1h", "1h30", "00",
        "99999999999999999999s", "36526d", "36525d1ns", "9999999999999999999ns"}) {
    EXPECT_EQ(parse_duration(text).error().code, Code::kInvalid) << text;
  }
}

TEST(ParseDuration, AllowsAHundredYears) {
  EXPECT_EQ(parse_duration("36525d").value(), hours(24) * 36525);
}

TEST(ParseDuration, ErrorNamesTheTextAndWhatToWrite) {
  EXPECT_EQ(parse_duration("5").error().message,
            "'5' is not a duration: units are d, h, m, s, ms, us, ns, largest first");
}

TEST(FormatDuration, IsExactAndShort) {
  EXPECT_EQ(format_duration(Duration::zero()), "0s");
  EXPECT_EQ(format_duration(minutes(90)), "1h30m");
  EXPECT_EQ(format_duration(milliseconds(250)), "250ms");
  EXPECT_EQ(format_duration(Duration(1)), "1ns");
  EXPECT_EQ(format_duration(-seconds(90)), "-1m30s");
  EXPECT_EQ(format_duration(hours(49)), "2d1h");
}

TEST(FormatDuration, ReadsBackAsItself) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const Duration duration(static_cast<std::int64_t>(random.next() >> (random.below(54) + 10)));
    const Result<Duration> back = parse_duration(format_duration(duration));
    // The largest 54-bit value is far below the limit of 100 years.
    ASSERT_TRUE(back.has_value()) << format_duration(duration);
    EXPECT_EQ(back.value(), duration);
  }
}

TEST(DescribeDuration, NamesAtMostTwoUnits) {
  EXPECT_EQ(describe_duration(Duration::zero()), "0s");
  EXPECT_EQ(describe_duration(Duration(999)), "999ns");
  EXPECT_EQ(describe_duration(microseconds(350)), "350us");
  EXPECT_EQ(describe_duration(milliseconds(450)), "450ms");
  EXPECT_EQ(describe_duration(milliseconds(1250)), "1.2s");
  EXPECT_EQ(describe_duration(seconds(5)), "5s");
  EXPECT_EQ(describe_duration(milliseconds(59'999)), "59.9s");
  EXPECT_EQ(describe_duration(seconds(200)), "3m 20s");
  EXPECT_EQ(describe_duration(minutes(3)), "3m");
  EXPECT_EQ(describe_duration(minutes(125)), "2h 5m");
  EXPECT_EQ(describe_duration(hours(52)), "2d 4h");
  EXPECT_EQ(describe_duration(-milliseconds(450)), "-450ms");
  EXPECT_EQ(describe_duration(Duration::min()).front(), '-');
}

TEST(FormatInstant, IsRfc3339InUtc) {
  EXPECT_EQ(format_instant(at_ms(1'769'903'999'123)), "2026-01-31T23:59:59.123Z");
  EXPECT_EQ(format_instant(at_ms(951'782'400'000)), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(format_instant(at_ms(-1)), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_instant(kNever), "never");
  EXPECT_EQ(format_instant(kNoInstant), "never");
}

TEST(ParseBytes, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_bytes("0").value(), 0u);
  EXPECT_EQ(parse_bytes("4096").value(), 4096u);
  EXPECT_EQ(parse_bytes("512B").value(), 512u);
  EXPECT_EQ(parse_bytes("64KiB").value(), 65536u);
  EXPECT_EQ(parse_bytes("64MiB").value(), std::uint64_t{64} << 20);
  EXPECT_EQ(parse_bytes("10GiB").value(), std::uint64_t{10} << 30);
  EXPECT_EQ(parse_bytes("2MB").value(), 2'000'000u);
  EXPECT_EQ(parse_bytes("18446744073709551615").value(), std::numeric_limits<std::uint64_t>::max());
}

TEST(ParseBytes, RefusesWhatIsNotOne) {
  for (const char* text :
       {"", "KiB", "-1", "1.5GiB", "1 KiB", "1kib", "18446744073709551616", "99999999999GiB"}) {
    EXPECT_EQ(parse_bytes(text).error().code, Code::kInvalid) << text;
  }
}

TEST(DescribeBytes, UsesPowersOf1024WithOneDecimal) {
  EXPECT_EQ(describe_bytes(0), "0 B");
  EXPECT_EQ(describe_bytes(512), "512 B");
  EXPECT_EQ(describe_bytes(65536), "64.0 KiB");
  EXPECT_EQ(describe_bytes(1024 * 1024 - 1), "1023.9 KiB");
  EXPECT_EQ(describe_bytes((std::uint64_t{3} << 30) / 2), "1.5 GiB");
  EXPECT_EQ(describe_bytes(std::numeric_limits<std::uint64_t>::max()), "15.9 EiB");
}

TEST(SystemClock, StartsAtWallTimeAndNeverGoesBack) {
  const SystemClock clock;
  const Instant first = clock.now();
  EXPECT_GE(clock.now(), first);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_LT(std::chrono::abs(wall - clock.now().time_since_epoch()), hours(1));
}

}  // namespace
}  // namespace skep
