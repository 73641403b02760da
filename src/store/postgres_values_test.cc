// SPDX-License-Identifier: Apache-2.0
// Goal: what is written for PostgreSQL is text that it takes, and reads back as the bytes it was.
// Method: bytes drawn from a seed, and each form of UTF-8 that is none.
#include "store/postgres_values.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace skep::store {
namespace {

TEST(PostgresValues, AnyBytesSurviveTheEscape) {
  Random random(1);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random.below(40), '\0');
    for (char& c : bytes) c = static_cast<char>(random.chance(0.5) ? random.next() : '\\');
    const std::string text = pg_escape(bytes);
    EXPECT_EQ(text.find('\0'), std::string::npos);
    const auto back = pg_unescape(text);
    ASSERT_TRUE(back);
    EXPECT_EQ(back.value(), bytes);
  }
}

TEST(PostgresValues, TextThatPeopleWriteStaysAsItIs) {
  for (const std::string text :
       {"", "plain", "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x90\x9d", "line\nline\ttab"}) {
    EXPECT_EQ(pg_escape(text), text);
  }
}

TEST(PostgresValues, WhatIsNotUtf8IsEscapedByteByByte) {
  EXPECT_EQ(pg_escape("a\xff"), "a\\xff");
  EXPECT_EQ(pg_escape(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(pg_escape("\xc0\x80"), "\\xc0\\x80");                    // overlong
  EXPECT_EQ(pg_escape("\xe0\x80\x80"), "\\xe0\\x80\\x80");           // overlong
  EXPECT_EQ(pg_escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(pg_escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(pg_escape("\xe2\x82"), "\\xe2\\x82");                    // cut off
  EXPECT_EQ(pg_escape("\\"), "\\\\");
}

TEST(PostgresValues, TextThatNoWriterLeavesIsCorrupt) {
  for (const std::string text : {"\\", "\\y", "\\x", "\\x1", "\\xg1"}) {
    const auto refused = pg_unescape(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, Code::kCorrupt);
  }
}

TEST(PostgresValues, NumbersAreReadInEachOfTheirSizes) {
  EXPECT_EQ(pg_read_number(pg_bigint(-2)).value(), -2);
  EXPECT_EQ(pg_read_number(std::string_view("\xff\xfe", 2)).value(), -2);
  EXPECT_EQ(pg_read_number(std::string_view("\x00\x00\x01\x00", 4)).value(), 256);
  EXPECT_EQ(pg_read_number("abc").error().code, Code::kCorrupt);
  EXPECT_EQ(pg_read_bool("").error().code, Code::kCorrupt);
}

TEST(PostgresValues, AnArrayOfTextsIsReadBackAndACutOneIsCorrupt) {
  PgArray array(PgType::kText);
  array.add(std::string_view("a"));
  array.add(std::string_view(""));
  const std::string bytes = array.take();
  EXPECT_EQ(pg_read_texts(bytes).value(), (std::vector<std::string>{"a", ""}));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(pg_read_texts(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_EQ(pg_array_literal({}), "{}");
  EXPECT_EQ(pg_array_literal({"a", "b\"\\"}), "{\"a\",\"b\\\"\\\\\"}");
}

}  // namespace
}  // namespace skep::store
