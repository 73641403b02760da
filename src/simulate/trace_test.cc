// SPDX-License-Identifier: Apache-2.0
// Traces: both forms of file, what is refused, how loads are scaled, and made-up loads.
#include "simulate/trace.h"

#include <gtest/gtest.h>

namespace skep::simulate {
namespace {

TEST(Trace, RowsOfTasksKeepTheirTimes) {
  const auto source = parse_trace("t", "t_seconds,service_seconds\n0,1.5\n2.25,0.5\r\n");
  ASSERT_TRUE(source);
  const auto trace = make_trace(source.value(), {}, 1);
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace.value().tasks.size(), 2u);
  EXPECT_EQ(trace.value().tasks[1].at_s, 2.25);
  EXPECT_EQ(trace.value().tasks[1].service_s, 0.5);
  EXPECT_EQ(trace.value().mean_service_s, 1.0);
  EXPECT_EQ(trace.value().span_s, 3.0);
  EXPECT_FALSE(source.value().is_as_recorded);
}

TEST(Trace, CountsAreSpreadOverTheirBin) {
  const auto source = parse_trace("t", "t_seconds,arrivals\n0,1000\n60,0\n120,500\n");
  ASSERT_TRUE(source);
  const Trace trace = make_trace(source.value(), {}, 7).value();
  ASSERT_EQ(trace.tasks.size(), 1500u);
  EXPECT_EQ(trace.span_s, 180.0);
  std::size_t first_half = 0;
  for (const Arrival& task : trace.tasks) {
    EXPECT_TRUE(task.at_s < 60 || task.at_s >= 120);
    first_half += task.at_s < 30 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(first_half), 500, 80);
  EXPECT_NEAR(trace.mean_service_s, 2, 0.2);
}

TEST(Trace, SameSeedSameTasksAnotherSeedOthers) {
  const auto source = parse_trace("t", "t_seconds,arrivals\n0,100\n60,100\n").value();
  const Trace once = make_trace(source, {}, 3).value();
  const Trace again = make_trace(source, {}, 3).value();
  const Trace other = make_trace(source, {}, 4).value();
  EXPECT_EQ(once.tasks[17].at_s, again.tasks[17].at_s);
  EXPECT_NE(once.tasks[17].at_s, other.tasks[17].at_s);
}

// 120 tasks of 2 s in two minutes offer 2 slots. To offer 8 they must take four times as long; to offer 1
// half of them are enough.
TEST(Trace, ScalingMakesNoTasksUp) {
  const auto source = parse_trace("t", "t_seconds,arrivals\n0,120\n120,120\n240,120\n").value();
  TraceOptions options;
  options.load = 8;
  const Trace more = make_trace(source, options, 1).value();
  EXPECT_EQ(more.tasks.size(), 360u);
  EXPECT_NEAR(more.mean_service_s, 8, 1);
  options.load = 1;
  const Trace less = make_trace(source, options, 1).value();
  EXPECT_EQ(less.tasks.size(), 180u);
  EXPECT_NEAR(less.mean_service_s, 2, 0.5);
}

TEST(Trace, TimesRepeatsEachTaskNearby) {
  const auto source = parse_trace("t", "t_seconds,service_seconds\n10,1\n100,2\n").value();
  TraceOptions options;
  options.times = 10;
  const Trace trace = make_trace(source, options, 1).value();
  ASSERT_EQ(trace.tasks.size(), 20u);
  EXPECT_GE(trace.tasks[9].at_s, 10);
  EXPECT_LE(trace.tasks[9].at_s, 15);
  EXPECT_EQ(trace.tasks[9].service_s, 1);
}

TEST(Trace, RemarksAreSkippedAndOneSaysThatTheLoadIsReal) {
  const auto source =
      parse_trace("t", "# load as recorded at a place\nt_seconds,service_seconds\n0,1\n").value();
  EXPECT_TRUE(source.is_as_recorded);
}

TEST(Trace, WhatIsNoTraceIsRefusedWithItsLine) {
  const auto message = [](std::string_view text) {
    const auto source = parse_trace("t", text);
    return source ? std::string("accepted") : source.error().message;
  };
  EXPECT_EQ(message("a,b\n"),
            "t: the first line is to be t_seconds,service_seconds (with ,queue behind it) or "
            "t_seconds,arrivals, and is 'a,b'");
  EXPECT_EQ(message("t_seconds,service_seconds,queue\n1,2\n"), "t: line 2 has no queue as its third value");
  EXPECT_EQ(message("t_seconds,service_seconds,queue\n1,2,\n"),
            "t: line 2 has no queue of 1 to 64 characters");
  EXPECT_EQ(message(""), "t: there is no row in it");
  EXPECT_EQ(message("t_seconds,arrivals\n0;1\n"), "t: line 2 is not two numbers with a comma");
  EXPECT_EQ(message("t_seconds,arrivals\n0,x\n"), "t: line 2 is not two numbers with a comma");
  EXPECT_EQ(message("t_seconds,arrivals\n5,1\n4,1\n"), "t: line 3 is earlier than the row before it");
  EXPECT_EQ(message("t_seconds,arrivals\n5,-1\n"), "t: line 2 has a negative value");
}

// In the order of their names, not of their rows: that is how they take turns.
TEST(Trace, AThirdColumnNamesTheQueue) {
  const auto source =
      parse_trace("t", "t_seconds,service_seconds,queue\n0,1,urgent\n1,2,bulk\r\n2,3,urgent\n").value();
  EXPECT_EQ(source.queues, (std::vector<std::string>{"bulk", "urgent"}));
  TraceOptions options;
  options.times = 2;
  const Trace trace = make_trace(source, options, 1).value();
  EXPECT_EQ(trace.queues, source.queues);
  ASSERT_EQ(trace.tasks.size(), 6u);
  for (const Arrival& task : trace.tasks) EXPECT_EQ(task.queue, task.service_s == 2 ? 0u : 1u);
}

// Seconds since 1970 are not taken for a trace of half a century.
TEST(Trace, TimesThatDoNotCountFromTheBeginAreRefused) {
  const auto since_1970 = parse_trace("t", "t_seconds,service_seconds\n1795910400,1\n");
  ASSERT_FALSE(since_1970);
  EXPECT_EQ(
      since_1970.error().message,
      "t: line 2 is later than a year: t_seconds are to count from the begin of the trace, not from 1970");
  EXPECT_FALSE(parse_trace("t", "t_seconds,service_seconds\n0,1e300\n"));
}

TEST(Trace, TooManyTasksAreRefused) {
  const auto source = parse_trace("t", "t_seconds,arrivals\n0,30000000\n").value();
  const auto trace = make_trace(source, {}, 1);
  ASSERT_FALSE(trace);
  EXPECT_EQ(trace.error().code, Code::kInvalid);
}

TEST(Trace, MadeUpLoadsOfferWhatTheySay) {
  EXPECT_TRUE(is_synthetic("constant:load=3"));
  EXPECT_FALSE(is_synthetic("trace.csv"));
  const auto source = synthetic_trace("constant:hours=2:load=3:service=1");
  ASSERT_TRUE(source);
  const Trace trace = make_trace(source.value(), {}, 1).value();
  EXPECT_EQ(trace.span_s, 7200);
  EXPECT_NEAR(trace.mean_load, 3, 0.1);
  EXPECT_NEAR(trace.mean_service_s, 1, 0.05);
  EXPECT_NEAR(make_trace(synthetic_trace("daily:load=8").value(), {}, 1).value().mean_load, 0.55 * 8, 0.1);
}

TEST(Trace, MadeUpLoadsRefuseWhatTheyDoNotKnow) {
  EXPECT_FALSE(synthetic_trace("waves"));
  EXPECT_FALSE(synthetic_trace("constant:speed=3"));
  EXPECT_FALSE(synthetic_trace("constant:load=-3"));
  EXPECT_FALSE(synthetic_trace("constant:load"));
  EXPECT_FALSE(synthetic_trace("constant:hours=8785"));
}

}  // namespace
}  // namespace skep::simulate
