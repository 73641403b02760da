// SPDX-License-Identifier: Apache-2.0
// What was counted stands in the text that Prometheus reads, under its name, help, type and labels.
#include "base/metrics.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace skep {
namespace {

bool has_line(const Metrics& metrics, const std::string& line) {
  return ("\n" + metrics.expose()).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, ExposesCountersWithHelpTypeAndLabels) {
  Metrics metrics;
  const CounterFamily tasks = metrics.counters("skep_tasks_total", "Tasks by what became of them.");
  tasks.with({{"state", "done"}}).add();
  tasks.with({{"state", "done"}}).add(2);
  tasks.with({{"state", "dead"}}).add();
  EXPECT_TRUE(has_line(metrics, "# HELP skep_tasks_total Tasks by what became of them."));
  EXPECT_TRUE(has_line(metrics, "# TYPE skep_tasks_total counter"));
  EXPECT_TRUE(has_line(metrics, "skep_tasks_total{state=\"done\"} 3"));
  EXPECT_TRUE(has_line(metrics, "skep_tasks_total{state=\"dead\"} 1"));
}

TEST(Metrics, ExposesGauges) {
  Metrics metrics;
  const Gauge gauge = metrics.gauge("skep_connections", "Open connections.");
  gauge.set(5);
  gauge.add(-2);
  EXPECT_EQ(gauge.value(), 3);
  EXPECT_TRUE(has_line(metrics, "skep_connections 3"));
}

TEST(Metrics, ExposesHistogramsAsCumulativeBuckets) {
  Metrics metrics;
  const Histogram histogram = metrics.histogram("skep_wait_seconds", "Wait.", {0.5, 1});
  histogram.observe(0.25);
  histogram.observe(0.75);
  histogram.observe(2);
  EXPECT_TRUE(has_line(metrics, "skep_wait_seconds_bucket{le=\"0.5\"} 1"));
  EXPECT_TRUE(has_line(metrics, "skep_wait_seconds_bucket{le=\"1\"} 2"));
  EXPECT_TRUE(has_line(metrics, "skep_wait_seconds_bucket{le=\"+Inf\"} 3"));
  EXPECT_TRUE(has_line(metrics, "skep_wait_seconds_count 3"));
  EXPECT_TRUE(has_line(metrics, "skep_wait_seconds_sum 3"));
}

TEST(Metrics, ShowsATallyAsAHistogram) {
  Metrics metrics;
  metrics.counter("skep_a_total", "A.").add();
  Tally tally({0.5, 1});
  for (const double value : {0.25, 0.5, 0.75, 2.0}) tally.observe(value);
  const std::string text = metrics.expose({{"skep_run_seconds", "Run.", &tally}});
  for (const char* line : {"# HELP skep_run_seconds Run.\n", "# TYPE skep_run_seconds histogram\n",
                           "skep_run_seconds_bucket{le=\"0.5\"} 2\n", "skep_run_seconds_bucket{le=\"1\"} 3\n",
                           "skep_run_seconds_bucket{le=\"+Inf\"} 4\n", "skep_run_seconds_count 4\n",
                           "skep_run_seconds_sum 3.5\n", "skep_a_total 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  EXPECT_EQ(text.find("+Inf"), text.rfind("+Inf")) << "one bucket for the rest: " << text;
}

TEST(Metrics, SameNameIsTheSameFamily) {
  Metrics metrics;
  metrics.counter("skep_a_total", "A.").add();
  metrics.counter("skep_a_total", "A.").add();
  EXPECT_EQ(metrics.counter("skep_a_total", "A.").value(), 2);
}

TEST(Metrics, RemovedMemberLeavesTheText) {
  Metrics metrics;
  const GaugeFamily depth = metrics.gauges("skep_depth", "Depth.");
  depth.with({{"queue", "old"}}).set(1);
  depth.with({{"queue", "kept"}}).set(2);
  depth.remove({{"queue", "old"}});
  depth.remove({{"queue", "never seen"}});
  EXPECT_EQ(metrics.expose().find("old"), std::string::npos);
  EXPECT_EQ(metrics.expose().find("never seen"), std::string::npos);
  EXPECT_TRUE(has_line(metrics, "skep_depth{queue=\"kept\"} 2"));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Metrics metrics;
  metrics.gauges("skep_depth", "Depth.").with({{"queue", "a\"b\nc"}}).set(1);
  EXPECT_TRUE(has_line(metrics, "skep_depth{queue=\"a\\\"b\\nc\"} 1"));
}

TEST(Metrics, HandlesWithoutAMetricsDropWhatTheyAreGiven) {
  CounterFamily().with({{"a", "b"}}).add();
  GaugeFamily().with({}).set(1);
  HistogramFamily().with({}).observe(1);
  CounterFamily().remove({});
  EXPECT_EQ(Counter().value(), 0);
  EXPECT_EQ(Gauge().value(), 0);
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  const CounterFamily family = metrics.counters("skep_hits_total", "Hits.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&family] {
      for (int i = 0; i < 1000; ++i) family.with({{"a", "b"}}).add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(family.with({{"a", "b"}}).value(), 4000);
}

TEST(MetricsDeathTest, BadNamesAndDoubleUseAbort) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Metrics metrics;
  EXPECT_DEATH(metrics.counter("not a name", "x"), "metric 'not a name'");
  metrics.counter("skep_twice", "x");
  EXPECT_DEATH(metrics.gauge("skep_twice", "x"), "metric 'skep_twice'");
}

}  // namespace
}  // namespace skep
