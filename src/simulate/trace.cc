// SPDX-License-Identifier: Apache-2.0
#include "simulate/trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/random.h"

namespace skep::simulate {
namespace {

constexpr double kLoadWindow = 120;  // seconds in which the offered load is measured
constexpr double kTasksMax = 2e7;
constexpr std::size_t kNameMax = 64;
constexpr double kValueMax = 1e9;
constexpr double kCopySpread = 5;  // seconds within which the copies of a task arrive

std::optional<double> number_in(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Where rows have a queue: its name, which is cut off the line.
Result<std::string> take_queue(std::string_view& line, const std::string& where) {
  const std::size_t comma = line.rfind(',');
  std::string name(comma == std::string_view::npos ? "" : line.substr(comma + 1));
  if (comma == line.find(',')) return fail(Code::kInvalid, where + " has no queue as its third value");
  while (!name.empty() && name.back() == ' ') name.pop_back();
  if (name.empty() || name.size() > kNameMax)
    return fail(Code::kInvalid, where + " has no queue of 1 to " + std::to_string(kNameMax) + " characters");
  line = line.substr(0, comma);
  return name;
}

Result<Arrival> parse_row(std::string_view line, const std::string& where, double not_before) {
  const std::size_t comma = line.find(',');
  if (comma == std::string_view::npos)
    return fail(Code::kInvalid, where + " is not two numbers with a comma");
  const auto at = number_in(line.substr(0, comma));
  const auto value = number_in(line.substr(comma + 1));
  if (!at || !value) return fail(Code::kInvalid, where + " is not two numbers with a comma");
  if (*at < not_before) return fail(Code::kInvalid, where + " is earlier than the row before it");
  if (*at > kTraceSpanMax) {
    return fail(Code::kInvalid, where +
                                    " is later than a year: t_seconds are to count from the begin of the "
                                    "trace, not from 1970");
  }
  if (*value < 0) return fail(Code::kInvalid, where + " has a negative value");
  if (*value > kValueMax) return fail(Code::kInvalid, where + " has a value over 1000000000");
  return Arrival{*at, *value};
}

double exponential(Random& random, double mean) {
  return -mean * std::log1p(-random.unit());
}

double least_of(double value, double least) {
  return value > least ? value : least;
}

// The 99th percentile of the work that arrives in a window, in slots.
double peak_load(const TraceSource& source, double service_mean_s) {
  std::vector<double> work(static_cast<std::size_t>(source.span_s / kLoadWindow) + 1, 0.0);
  for (std::size_t i = 0; i < source.rows.size(); ++i) {
    const Arrival& row = source.rows[i];
    if (!source.has_counts) {
      work[static_cast<std::size_t>(row.at_s / kLoadWindow)] += row.service_s;
      continue;
    }
    const double end = i + 1 < source.rows.size() ? source.rows[i + 1].at_s : source.span_s;
    const double width = end - row.at_s;
    if (width <= 0) continue;
    for (double at = row.at_s; at < end;) {
      const auto window = static_cast<std::size_t>(at / kLoadWindow);
      const double until = std::min(end, static_cast<double>(window + 1) * kLoadWindow);
      work[window] += row.service_s * service_mean_s * (until - at) / width;
      at = least_of(until, at + 1e-9);
    }
  }
  const auto rank = static_cast<std::size_t>(0.99 * static_cast<double>(work.size() - 1) + 0.5);
  std::nth_element(work.begin(), work.begin() + static_cast<std::ptrdiff_t>(rank), work.end());
  return work[rank] / kLoadWindow;
}

void add_counted(const TraceSource& source, double factor, double service_mean_s, Random& random,
                 Trace& out) {
  for (std::size_t i = 0; i < source.rows.size(); ++i) {
    const Arrival& row = source.rows[i];
    const double width = (i + 1 < source.rows.size() ? source.rows[i + 1].at_s : source.span_s) - row.at_s;
    const double wanted = row.service_s * factor;
    auto count = static_cast<std::uint64_t>(wanted);
    if (random.chance(wanted - static_cast<double>(count))) ++count;
    for (std::uint64_t n = 0; n < count; ++n) {
      const double at = row.at_s + random.unit() * width;
      out.tasks.push_back({at, least_of(exponential(random, service_mean_s), 1e-3)});
    }
  }
}

void add_listed(const TraceSource& source, double factor, std::uint32_t times, Random& random, Trace& out) {
  for (const Arrival& row : source.rows) {
    for (std::uint32_t copy = 0; copy < times; ++copy) {
      const double at =
          copy == 0 ? row.at_s : std::min(row.at_s + random.unit() * kCopySpread, source.span_s);
      out.tasks.push_back({at, least_of(row.service_s * factor, 1e-3), row.queue});
    }
  }
}

// In the order of their names, in which they take turns.
void name_queues(const std::map<std::string, std::uint32_t>& found, TraceSource& source) {
  std::vector<std::uint32_t> places(found.size());
  for (const auto& [name, number] : found) {
    places[number] = static_cast<std::uint32_t>(source.queues.size());
    source.queues.push_back(name);
  }
  for (Arrival& row : source.rows) {
    if (!places.empty()) row.queue = places[row.queue];
  }
}

}  // namespace

Result<TraceSource> parse_trace(std::string name, std::string_view text) {
  TraceSource source;
  source.name = std::move(name);
  bool has_head = false;
  bool has_queue = false;
  std::map<std::string, std::uint32_t> queues;
  std::size_t number = 0;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    ++number;
    if (line.empty()) continue;
    if (line.front() == '#') {
      source.is_as_recorded |= line.find("load as recorded") != std::string_view::npos;
      continue;
    }
    if (!has_head) {
      has_head = true;
      if (line == "t_seconds,arrivals") {
        source.has_counts = true;
      } else if (line == "t_seconds,service_seconds,queue") {
        has_queue = true;
      } else if (line != "t_seconds,service_seconds") {
        return fail(Code::kInvalid,
                    source.name +
                        ": the first line is to be t_seconds,service_seconds (with ,queue behind it) " +
                        "or t_seconds,arrivals, and is '" + std::string(line.substr(0, 60)) + "'");
      }
      continue;
    }
    const double not_before = source.rows.empty() ? 0 : source.rows.back().at_s;
    const std::string where = source.name + ": line " + std::to_string(number);
    std::uint32_t queue = 0;
    if (has_queue) {
      SKEP_TRY(std::string named, take_queue(line, where));
      queue = queues.try_emplace(std::move(named), static_cast<std::uint32_t>(queues.size())).first->second;
    }
    SKEP_TRY(Arrival row, parse_row(line, where, not_before));
    row.queue = queue;
    source.rows.push_back(row);
  }
  if (queues.size() > kTraceQueuesMax) {
    return fail(Code::kInvalid, source.name + " has " + std::to_string(queues.size()) +
                                    " queues and the limit is " + std::to_string(kTraceQueuesMax));
  }
  name_queues(queues, source);
  if (source.rows.empty()) return fail(Code::kInvalid, source.name + ": there is no row in it");
  const double last = source.rows.back().at_s;
  const double bin = source.rows.size() > 1 ? last - source.rows[source.rows.size() - 2].at_s : 60;
  source.span_s = source.has_counts ? last + bin : std::floor(last) + 1;
  return source;
}

Result<Trace> make_trace(const TraceSource& source, const TraceOptions& options, std::uint64_t seed) {
  Random random(seed * 0x9e3779b97f4a7c15u + 1);
  double service_mean_s = source.service_mean_s > 0 ? source.service_mean_s : options.service_mean_s;
  double factor = 1;
  if (options.load > 0) {
    const double peak = peak_load(source, service_mean_s);
    if (peak > 0) factor = options.load / peak;
  }
  // No task is made up: where there are too few they take longer.
  if (source.has_counts && factor > 1) service_mean_s *= std::exchange(factor, 1);
  double expected = 0;
  for (const Arrival& row : source.rows) expected += source.has_counts ? row.service_s * factor : 1;
  if (expected * options.times > kTasksMax) {
    return fail(Code::kInvalid, source.name + " has more than 20 million tasks; scale it down with --load");
  }
  Trace trace;
  trace.name = source.name;
  trace.queues = source.queues;
  trace.span_s = source.span_s;
  if (source.has_counts) {
    add_counted(source, factor * options.times, service_mean_s, random, trace);
  } else {
    add_listed(source, factor, options.times, random, trace);
  }
  const auto is_earlier = [](const Arrival& a, const Arrival& b) { return a.at_s < b.at_s; };
  std::stable_sort(trace.tasks.begin(), trace.tasks.end(), is_earlier);
  double work = 0;
  for (const Arrival& task : trace.tasks) work += task.service_s;
  if (!trace.tasks.empty()) trace.mean_service_s = work / static_cast<double>(trace.tasks.size());
  trace.mean_load = work / least_of(trace.span_s, 1);
  return trace;
}

}  // namespace skep::simulate
