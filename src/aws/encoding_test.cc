// SPDX-License-Identifier: Apache-2.0
// Goal: texts are encoded and instants read as AWS has them. Method: examples, and what must be refused.
#include "aws/encoding.h"

#include <gtest/gtest.h>

namespace skep::aws {
namespace {

TEST(Encoding, PercentEncodesAllButUnreservedCharacters) {
  EXPECT_EQ(percent_encoded("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(percent_encoded("a b/\xc3\xa9+%"), "a%20b%2F%C3%A9%2B%25");
  EXPECT_EQ(percent_encoded("a/b c", Slash::kKept), "a/b%20c");
}

TEST(Encoding, Base64FillsTheLastGroup) {
  EXPECT_EQ(base64_of(""), "");
  EXPECT_EQ(base64_of("f"), "Zg==");
  EXPECT_EQ(base64_of("fo"), "Zm8=");
  EXPECT_EQ(base64_of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64_of("\xff\xfe\xfd"), "//79");
}

TEST(Encoding, DatesAreReadAndWritten) {
  const Instant at(seconds(1'800'000'000));
  EXPECT_EQ(amz_date(at), "20270115T080000Z");
  EXPECT_EQ(amz_date(at + Duration(milliseconds(999))), "20270115T080000Z");
  EXPECT_EQ(parse_iso_date("2027-01-15T08:00:00Z"), at);
  EXPECT_EQ(parse_iso_date("2027-01-15T08:00:00.123Z"), at);
  EXPECT_EQ(parse_iso_date("2027-01-15T08:00:00+00:00"), at);
  EXPECT_EQ(parse_http_date("Fri, 15 Jan 2027 08:00:00 GMT"), at);
  EXPECT_EQ(parse_iso_date("9999-01-01T00:00:00Z"), kNever);
}

TEST(Encoding, WhatIsNoDateIsNone) {
  for (const char* text : {"", "2027-01-15", "2027-02-30T08:00:00Z", "2027-01-15T24:00:00Z",
                           "2027-01-15T08:00:00+01:00", "2027-01-15 08:00:00Z", "x027-01-15T08:00:00Z"})
    EXPECT_FALSE(parse_iso_date(text)) << text;
  for (const char* text : {"", "Fri, 15 Jam 2027 08:00:00 GMT", "Fri, 15 anF 2027 08:00:00 GMT",
                           "Fri, 15 Jan 2027 08:00:00 UTC", "Fri, 32 Jan 2027 08:00:00 GMT"})
    EXPECT_FALSE(parse_http_date(text)) << text;
}

}  // namespace
}  // namespace skep::aws
