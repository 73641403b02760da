// SPDX-License-Identifier: Apache-2.0
// trace.h - what arrives when: files of real arrivals, and made-up loads.
//
// Two forms of file: `t_seconds,service_seconds` is one row a task, and may have `,queue` behind it, the name
// of the task's; `t_seconds,arrivals` is a count for the time from t to the next row. Lines that begin with #
// are remarks; one that says `load as recorded` keeps the file from being scaled where nothing else is asked
// for.
//
// Threads:   value.
// Units:     seconds since the begin of the trace; service is in seconds of one slot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace skep::simulate {

struct Arrival {
  double at_s = 0;
  double service_s = 0;
  std::uint32_t queue = 0;  // among the queues of the trace
};

// As it stands in a file, or is made up.
struct TraceSource {
  std::string name;
  bool has_counts = false;  // rows are counts for a bin, not tasks
  bool is_as_recorded = false;
  double span_s = 0;
  double service_mean_s = 0;        // of counts, where the source says it; else the options do
  std::vector<std::string> queues;  // that it names; none: it is all one
  std::vector<Arrival> rows;        // with counts: service_s is how many arrive from at_s to the next row
};

struct Trace {
  std::string name;
  double span_s = 0;
  std::vector<Arrival> tasks;       // oldest first
  std::vector<std::string> queues;  // by name; none: it is all one
  double mean_service_s = 0;
  double mean_load = 0;  // slots kept busy over the whole span
};

inline constexpr std::size_t kTraceQueuesMax = 1'000;
inline constexpr double kTraceSpanMax = 366 * 86'400.0;

struct TraceOptions {
  // The 99th percentile of the load offered in two minutes becomes this, in slots: tasks take longer or
  // shorter; of counts that are too many, only a part counts. 0: nothing is scaled.
  double load = 0;
  // After that: each task stands for so many, put down within some seconds of it.
  std::uint32_t times = 1;
  double service_mean_s = 2;  // of tasks of which only the count is known: exponential with this mean
};

// kInvalid: neither form, a row that is no two numbers (with a queue behind them, where there is to be one),
// time that goes back or is over kTraceSpanMax, a value over 1e9, no row at all, or more than kTraceQueuesMax
// queues.
Result<TraceSource> parse_trace(std::string name, std::string_view text);

// "constant", "step", "burst", "daily", "ramp", each with ":hours=24:load=4" and so on. kInvalid: no such
// load.
Result<TraceSource> synthetic_trace(std::string_view description);
// Whether the first word names one.
bool is_synthetic(std::string_view description);

// The tasks themselves. The same source, options and seed give the same tasks on every machine. kInvalid:
// more than 20 million of them.
Result<Trace> make_trace(const TraceSource& source, const TraceOptions& options, std::uint64_t seed);

}  // namespace skep::simulate
