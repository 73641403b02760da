// SPDX-License-Identifier: Apache-2.0
// metrics.h - counters, gauges and histograms, and their text form for GET /metrics.
//
// A Metrics is handed down, there is no global one. A family has a name and a help text; its members differ
// by labels. Ask for a member once and keep it: with() takes a lock, add/set/observe are atomic operations.
//
// Threads:   any thread.
// Errors:    a bad name or label, or one name for two types, is a mistake in the program and aborts.
// Ownership: families and members point into their Metrics, which must outlive their use.
//            A default-constructed one drops what it is given.
// Units:     names end in their unit: _seconds, _bytes, _total.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/tally.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
template <class T>
class Family;
}  // namespace prometheus

namespace skep {

using Labels = std::map<std::string, std::string>;

// Only goes up.
class Counter {
 public:
  Counter() = default;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  void add(double by = 1) const;
  double value() const;

 private:
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  void set(double value) const;
  void add(double by) const;
  double value() const;

 private:
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  void observe(double value) const;

 private:
  prometheus::Histogram* histogram_ = nullptr;
};

class CounterFamily {
 public:
  CounterFamily() = default;
  explicit CounterFamily(prometheus::Family<prometheus::Counter>* family) : family_(family) {}
  // The member with these labels, made at its first mention.
  Counter with(const Labels& labels) const;
  // Takes the member out of the text form. Handles to it must not be used any more.
  void remove(const Labels& labels) const;

 private:
  prometheus::Family<prometheus::Counter>* family_ = nullptr;
};

class GaugeFamily {
 public:
  GaugeFamily() = default;
  explicit GaugeFamily(prometheus::Family<prometheus::Gauge>* family) : family_(family) {}
  Gauge with(const Labels& labels) const;
  void remove(const Labels& labels) const;

 private:
  prometheus::Family<prometheus::Gauge>* family_ = nullptr;
};

class HistogramFamily {
 public:
  HistogramFamily() = default;
  HistogramFamily(prometheus::Family<prometheus::Histogram>* family, std::vector<double> bounds)
      : family_(family), bounds_(std::move(bounds)) {}
  Histogram with(const Labels& labels) const;
  void remove(const Labels& labels) const;

 private:
  prometheus::Family<prometheus::Histogram>* family_ = nullptr;
  std::vector<double> bounds_;
};

// A histogram that is kept elsewhere, as it is now.
struct ShownTally {
  std::string_view name;
  std::string_view help;
  const Tally* tally = nullptr;  // not null
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The family of that name; the same one again if it exists.
  CounterFamily counters(std::string_view name, std::string_view help);
  GaugeFamily gauges(std::string_view name, std::string_view help);
  // `bounds`: the upper bounds of the buckets, rising; one more for the rest is added.
  HistogramFamily histograms(std::string_view name, std::string_view help, std::vector<double> bounds);

  // A family's member without labels.
  Counter counter(std::string_view name, std::string_view help) { return counters(name, help).with({}); }
  Gauge gauge(std::string_view name, std::string_view help) { return gauges(name, help).with({}); }
  Histogram histogram(std::string_view name, std::string_view help, std::vector<double> bounds) {
    return histograms(name, help, std::move(bounds)).with({});
  }

  // Everything in Prometheus' text format 0.0.4 (its content type is kContentType), and `tallies`, whose
  // names are no family's. From the thread that keeps the tallies.
  std::string expose(const std::vector<ShownTally>& tallies = {}) const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Bounds for durations in seconds, from 100 us to 60 s.
std::vector<double> latency_bounds();

}  // namespace skep
