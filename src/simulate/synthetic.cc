// SPDX-License-Identifier: Apache-2.0
// Made-up loads: what a policy does on each can be said beforehand.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>

#include "simulate/trace.h"

namespace skep::simulate {
namespace {

constexpr double kBin = 10;  // seconds
constexpr double kDay = 86'400;
constexpr double kPi = 3.14159265358979323846;

// What is offered at a time, in slots: `load` at the most.
struct Shape {
  std::string_view name;
  double (*load_at)(double at_s, double span_s, double load, double period_s);
};

constexpr Shape kShapes[] = {
    {"constant", [](double, double, double load, double) { return load; }},
    {"step", [](double at, double span, double load, double) { return at < span / 2 ? load / 4 : load; }},
    {"ramp", [](double at, double span, double load, double) { return load * at / span; }},
    {"burst", [](double at, double, double load,
                 double period) { return std::fmod(at, period) < period / 10 ? load : load / 10; }},
    {"daily", [](double at, double, double load,
                 double) { return load * (0.55 - 0.45 * std::cos(2 * kPi * at / kDay)); }},
    {"oscillating", [](double at, double, double load,
                       double period) { return load * (0.5 + 0.5 * std::sin(2 * kPi * at / period)); }},
};

const Shape* shape_named(std::string_view name) {
  const auto found = std::find_if(std::begin(kShapes), std::end(kShapes),
                                  [&](const Shape& shape) { return shape.name == name; });
  return found == std::end(kShapes) ? nullptr : found;
}

}  // namespace

bool is_synthetic(std::string_view description) {
  return shape_named(description.substr(0, description.find(':'))) != nullptr;
}

Result<TraceSource> synthetic_trace(std::string_view description) {
  std::map<std::string, double, std::less<>> given{
      {"hours", 24}, {"load", 6}, {"period", 600}, {"service", 2}};
  std::string_view rest = description;
  const auto take = [&rest] {
    const std::size_t colon = rest.find(':');
    const std::string_view part = rest.substr(0, colon);
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    return part;
  };
  const std::string_view name = take();
  const Shape* shape = shape_named(name);
  if (shape == nullptr) {
    return fail(Code::kInvalid, "there is no load '" + std::string(name) +
                                    "'; it is constant, step, ramp, burst, daily or oscillating");
  }
  while (!rest.empty()) {
    const std::string_view part = take();
    const std::size_t equals = part.find('=');
    const auto found = given.find(part.substr(0, equals));
    double value = 0;
    bool is_right = found != given.end() && equals != std::string_view::npos;
    if (is_right) {
      const std::string_view digits = part.substr(equals + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      is_right = error == std::errc() && end == digits.data() + digits.size() && value > 0 && value < 1e6;
    }
    if (!is_right) {
      return fail(Code::kInvalid, "'" + std::string(part) +
                                      "' is not hours=, load=, period= or service= with a " +
                                      "positive number");
    }
    found->second = value;
  }
  if (given["hours"] * 3600 > kTraceSpanMax)
    return fail(Code::kInvalid, "a made-up load lasts for a year at most, which is hours=8784");
  TraceSource source;
  source.name = std::string(description);
  source.has_counts = true;
  source.is_as_recorded = true;
  source.service_mean_s = given["service"];
  source.span_s = given["hours"] * 3600;
  for (double at = 0; at < source.span_s; at += kBin) {
    const double slots = shape->load_at(at, source.span_s, given["load"], given["period"]);
    source.rows.push_back({at, slots * kBin / given["service"]});
  }
  return source;
}

}  // namespace skep::simulate
