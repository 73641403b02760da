// SPDX-License-Identifier: Apache-2.0
// Goal: what W3C Trace Context level 1 calls valid is taken as it came, anything else counts as not sent.
// Method: the specification's examples, and each of its rules broken by itself.
#include "task/trace_context.h"

#include <gtest/gtest.h>

#include "task/limits.h"

namespace skep {
namespace {

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string state_of(std::string_view state) {
  return parse_trace_context(kParent, state).state;
}

// The parent with `text` at `place`.
std::string with(std::size_t place, std::string_view text) {
  return std::string(kParent).replace(place, text.size(), text);
}

TEST(TraceContext, TheSpecificationsExampleIsTakenAsItCame) {
  const auto context = parse_trace_context(kParent, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(context.parent, kParent);
  EXPECT_EQ(context.state, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(TraceContext().trace_id(), "");
  EXPECT_EQ(parse_trace_context(" \t" + std::string(kParent) + " ", ""),
            (TraceContext{std::string(kParent), ""}));
  EXPECT_EQ(parse_trace_context(with(53, "ff"), "").parent, with(53, "ff")) << "flags that are not known yet";
}

TEST(TraceContext, AnInvalidTraceparentIsNoneAndItsStateIsNotLookedAt) {
  const std::string all(kParent);
  for (const std::string& text : {std::string(),
                                  all.substr(0, 54),
                                  all + "-",
                                  all + "-01",
                                  all + "0",
                                  with(0, "ff"),
                                  with(0, "0A"),
                                  with(0, "0x"),
                                  with(2, "_"),
                                  with(35, "_"),
                                  with(52, "_"),
                                  with(3, "0AF7"),
                                  with(3, "g"),
                                  with(3, std::string(32, '0')),
                                  with(36, std::string(16, '0')),
                                  with(36, "B7"),
                                  with(53, "0x"),
                                  with(53, "0A"),
                                  all + "," + all,
                                  all + ", " + all,
                                  std::string(55, '-')}) {
    EXPECT_EQ(parse_trace_context(text, "a=1"), TraceContext()) << text;
  }
}

TEST(TraceContext, ALaterVersionIsReadByTheFieldsOfThisOne) {
  const std::string later = with(0, "cc");
  EXPECT_EQ(parse_trace_context(later, "a=1"), (TraceContext{std::string(kParent), "a=1"}));
  EXPECT_EQ(parse_trace_context(later + "-what-the-future-brings", "").parent, kParent);
  EXPECT_EQ(parse_trace_context(with(0, "01").replace(53, 2, "fe"), "").parent, with(53, "00"));
  EXPECT_EQ(parse_trace_context(with(0, "01").replace(53, 2, "fb"), "").parent, with(53, "01"));
  EXPECT_EQ(parse_trace_context(later + ".what", "").parent, "") << "no dash after the flags";
  EXPECT_EQ(parse_trace_context(later + ", " + later, "").parent, "") << "two headers";
}

TEST(TraceContext, StatesAreHeldToTheGrammar) {
  for (const std::string& valid : {std::string("a=1"), std::string("a_-*/9=1,0tenant@sys=x y!~"),
                                   std::string("a= b"), std::string(256, 'k') + "=" + std::string(256, 'v'),
                                   std::string(241, '0') + "@" + std::string(14, 's') + "=v"})
    EXPECT_EQ(state_of(valid), valid.size() > limits::kTraceStateBytesMax ? "" : valid) << valid;
  for (const std::string& invalid : {std::string("a"),
                                     std::string("=1"),
                                     std::string("a="),
                                     std::string("A=1"),
                                     std::string("0=1"),
                                     std::string("a =1"),
                                     std::string("a=1=2"),
                                     std::string("a=\x7f"),
                                     std::string("a=\xc3\xa4"),
                                     std::string("a=1,a=2"),
                                     std::string("a=1,B=2"),
                                     std::string("a@=1"),
                                     std::string("@s=1"),
                                     std::string("a@0=1"),
                                     std::string("a@b@c=1"),
                                     std::string("a=b\tc"),
                                     std::string(257, 'k') + "=v",
                                     std::string(242, 't') + "@s=v",
                                     "t@" + std::string(15, 's') + "=v",
                                     "k=" + std::string(257, 'v')}) {
    EXPECT_EQ(state_of(invalid), "") << invalid;
    EXPECT_EQ(parse_trace_context(kParent, invalid).parent, kParent) << "the parent stands by itself";
  }
}

TEST(TraceContext, EmptyMembersAndBlanksGoAndSeveralHeadersAreOneList) {
  EXPECT_EQ(state_of(""), "");
  EXPECT_EQ(state_of(" , ,\t"), "");
  EXPECT_EQ(state_of("a=1 ,\tb=2,, c=3,"), "a=1,b=2,c=3");
}

TEST(TraceContext, MoreThan32MembersAreNone) {
  std::string state;
  for (int i = 0; i < 32; ++i) state += (i == 0 ? "k" : ",k") + std::to_string(i) + "=v";
  EXPECT_EQ(state_of(state), state);
  EXPECT_EQ(state_of(state + ",one=more"), "");
}

TEST(TraceContext, WhatIsTooLongLosesLongMembersFirstAndThenTheLast) {
  const std::string long_member = "l=" + std::string(200, 'v');
  const std::string part(96, 'v');
  EXPECT_EQ(state_of("a=" + part + "," + long_member + ",b=" + part + ",c=" + part + ",d=" + part),
            "a=" + part + ",b=" + part + ",c=" + part + ",d=" + part);
  std::string six, five;
  for (char c = 'a'; c < 'g'; ++c) {
    six += (six.empty() ? "" : ",") + std::string(1, c) + "=" + part;
    if (c < 'f') five = six;
  }
  EXPECT_EQ(state_of(six), five);
  EXPECT_LE(five.size(), limits::kTraceStateBytesMax);
}

}  // namespace
}  // namespace skep
