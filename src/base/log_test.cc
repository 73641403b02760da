// SPDX-License-Identifier: Apache-2.0
// A line is one line whatever is in it, fields can be told apart, and levels hold: stderr is captured and
// compared.
#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace skep {
namespace {

// What `use` writes to stderr.
template <class F>
std::string written_by(F use) {
  testing::internal::CaptureStderr();
  use();
  return testing::internal::GetCapturedStderr();
}

// A line without its time.
std::string without_time(const std::string& line) {
  return line.substr(line.find(' ') + 1);
}

TEST(Logger, WritesTimeLevelNameSentenceAndFields) {
  const std::string line = written_by([] {
    Logger("manager", LogLevel::kInfo)
        .info("shard claimed", {{"shard", 7}, {"owner", "a b"}, {"ratio", 0.5}});
  });
  EXPECT_EQ(without_time(line), "info manager: shard claimed shard=7 owner=\"a b\" ratio=0.500000\n");
  EXPECT_EQ(line.find('Z'), std::string("2026-01-31T23:59:59.123").size());
  EXPECT_EQ(line[10], 'T');
}

TEST(Logger, AFieldThatIsOnlyThereIfAnyIsLeftOutWithoutAValue) {
  const std::string line = written_by([] {
    Logger("x", LogLevel::kInfo)
        .info("fact", {LogField::if_any("a", ""), {"b", ""}, LogField::if_any("c", "d")});
  });
  EXPECT_EQ(without_time(line), "info x: fact b=\"\" c=d\n");
}

TEST(Logger, LeavesOutWhatIsBelowItsLevel) {
  const std::string lines = written_by([] {
    const Logger log("x", LogLevel::kWarn);
    log.debug("no");
    log.info("no");
    log.warn("yes");
    log.error("yes");
  });
  EXPECT_EQ(lines.find("no"), std::string::npos);
  EXPECT_NE(lines.find("warn x: yes\n"), std::string::npos);
  EXPECT_NE(lines.find("error x: yes\n"), std::string::npos);
}

TEST(Logger, DefaultAndOffDropEverything) {
  EXPECT_EQ(written_by([] {
              Logger().error("dropped");
              Logger("x", LogLevel::kOff).error("dropped");
            }),
            "");
}

TEST(Logger, NothingFromOutsideCanStartALineOrSteerTheTerminal) {
  const std::string line = written_by([] {
    Logger("x", LogLevel::kInfo)
        .info("a\nb {} %v", {{"k", std::string_view("c\r\n\x1b[2J\"\\=")}, {"e", ""}});
  });
  EXPECT_EQ(without_time(line), "info x: a\\nb {} %v k=\"c\\r\\n\\x1b[2J\\\"\\\\=\" e=\"\"\n");
}

TEST(Logger, CopiesShareOneSink) {
  const std::string lines = written_by([] {
    const Logger log("x", LogLevel::kInfo);
    const Logger copy = log;
    copy.info("one");
    log.info("two");
  });
  EXPECT_NE(lines.find("one"), std::string::npos);
  EXPECT_NE(lines.find("two"), std::string::npos);
}

TEST(ParseLogLevel, ReadsEveryLevelAndRefusesTheRest) {
  EXPECT_EQ(parse_log_level("debug").value(), LogLevel::kDebug);
  EXPECT_EQ(parse_log_level("info").value(), LogLevel::kInfo);
  EXPECT_EQ(parse_log_level("warn").value(), LogLevel::kWarn);
  EXPECT_EQ(parse_log_level("error").value(), LogLevel::kError);
  EXPECT_EQ(parse_log_level("off").value(), LogLevel::kOff);
  EXPECT_EQ(parse_log_level("INFO").error().code, Code::kInvalid);
}

}  // namespace
}  // namespace skep
