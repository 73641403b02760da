// SPDX-License-Identifier: Apache-2.0
// trace_context.h - where a task's request stood in a distributed trace: W3C Trace Context, level 1.
//
// skep is a carrier: what a client's traceparent and tracestate said goes to the worker and its program as it
// came, and no span is made here. https://www.w3.org/TR/trace-context-1/ is what is parsed; what it calls
// invalid counts as not sent, and is never an error.
//
// Threads:   value; any thread.
// Units:     the texts are the headers' values, of at most limits::kTraceParentBytes and kTraceStateBytesMax.
#pragma once

#include <string>
#include <string_view>

namespace skep {

struct TraceContext {
  std::string parent;  // traceparent in version 00; "" is none
  std::string state;   // tracestate; "" is none, as always without a parent

  bool operator==(const TraceContext&) const = default;
  // 32 lower-case hex digits; "" if there is no parent.
  std::string_view trace_id() const { return std::string_view(parent).substr(parent.empty() ? 0 : 3, 32); }
};

// Of the values of both headers; a tracestate that came in several is joined by commas. None if traceparent
// is invalid. One of a later version is read as the specification says and becomes version 00. An invalid
// tracestate is left out; one that is too long loses entries, those above 128 bytes first, then the last.
TraceContext parse_trace_context(std::string_view traceparent, std::string_view tracestate);

}  // namespace skep
