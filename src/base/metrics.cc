// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <limits>
#include <utility>

#include "base/check.h"

namespace skep {
namespace {

// The library throws for names and labels that it refuses; they are constants of the program.
template <class F>
auto must(std::string_view what, F&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& e) {
    const std::string message = "metric '" + std::string(what) + "': " + e.what();
    SKEP_CHECK(false, message);
  }
}

template <class Metric, class... Args>
Metric* member_of(prometheus::Family<Metric>* family, const Labels& labels, Args&&... args) {
  if (family == nullptr) return nullptr;
  return must(family->GetName(), [&] { return &family->Add(labels, std::forward<Args>(args)...); });
}

template <class Metric>
void remove_from(prometheus::Family<Metric>* family, Metric* member) {
  if (family != nullptr) family->Remove(member);
}

prometheus::MetricFamily family_of(const ShownTally& shown) {
  prometheus::MetricFamily family;
  family.name = std::string(shown.name);
  family.help = std::string(shown.help);
  family.type = prometheus::MetricType::Histogram;
  auto& histogram = family.metric.emplace_back().histogram;
  histogram.sample_count = shown.tally->count();
  histogram.sample_sum = shown.tally->sum();
  std::uint64_t below = 0;
  const auto& bounds = shown.tally->bounds();
  for (std::size_t i = 0; i < shown.tally->counts().size(); ++i) {
    below += shown.tally->counts()[i];
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({below, bound});
  }
  return family;
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
};

void Counter::add(double by) const {
  if (counter_ != nullptr) counter_->Increment(by);
}

double Counter::value() const {
  return counter_ != nullptr ? counter_->Value() : 0;
}

void Gauge::set(double value) const {
  if (gauge_ != nullptr) gauge_->Set(value);
}

void Gauge::add(double by) const {
  if (gauge_ != nullptr) gauge_->Increment(by);
}

double Gauge::value() const {
  return gauge_ != nullptr ? gauge_->Value() : 0;
}

void Histogram::observe(double value) const {
  if (histogram_ != nullptr) histogram_->Observe(value);
}

Counter CounterFamily::with(const Labels& labels) const {
  return Counter(member_of(family_, labels));
}

// The library removes by address, and Add() of known labels is how it tells the address.
void CounterFamily::remove(const Labels& labels) const {
  remove_from(family_, member_of(family_, labels));
}

Gauge GaugeFamily::with(const Labels& labels) const {
  return Gauge(member_of(family_, labels));
}

void GaugeFamily::remove(const Labels& labels) const {
  remove_from(family_, member_of(family_, labels));
}

Histogram HistogramFamily::with(const Labels& labels) const {
  return Histogram(member_of(family_, labels, prometheus::Histogram::BucketBoundaries(bounds_)));
}

void HistogramFamily::remove(const Labels& labels) const {
  remove_from(family_, member_of(family_, labels, prometheus::Histogram::BucketBoundaries(bounds_)));
}

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}

Metrics::~Metrics() = default;

CounterFamily Metrics::counters(std::string_view name, std::string_view help) {
  return CounterFamily(must(name, [&] {
    return &prometheus::BuildCounter()
                .Name(std::string(name))
                .Help(std::string(help))
                .Register(impl_->registry);
  }));
}

GaugeFamily Metrics::gauges(std::string_view name, std::string_view help) {
  return GaugeFamily(must(name, [&] {
    return &prometheus::BuildGauge()
                .Name(std::string(name))
                .Help(std::string(help))
                .Register(impl_->registry);
  }));
}

HistogramFamily Metrics::histograms(std::string_view name, std::string_view help,
                                    std::vector<double> bounds) {
  prometheus::Family<prometheus::Histogram>* family = must(name, [&] {
    return &prometheus::BuildHistogram()
                .Name(std::string(name))
                .Help(std::string(help))
                .Register(impl_->registry);
  });
  return {family, std::move(bounds)};
}

std::string Metrics::expose(const std::vector<ShownTally>& tallies) const {
  auto families = impl_->registry.Collect();
  for (const auto& shown : tallies) families.push_back(family_of(shown));
  return prometheus::TextSerializer().Serialize(families);
}

std::vector<double> latency_bounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
          0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
}

}  // namespace skep
