// fuzz: links task
// SPDX-License-Identifier: Apache-2.0
// Goal: no headers make the parser of trace contexts crash, and what it takes is within the limits and is
// taken again as the same. Method: the first line of the input is the traceparent, the rest the tracestate;
// each is tried beside a valid other one, too, and a mutation often is of something that was valid.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "task/limits.h"
#include "task/trace_context.h"

namespace {

using namespace skep;  // NOLINT(google-build-using-namespace): one file, no header

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

void check(bool condition) {
  if (!condition) std::abort();
}

void parse(std::string_view parent, std::string_view state) {
  const TraceContext context = parse_trace_context(parent, state);
  if (context.parent.empty()) {
    check(context == TraceContext() && context.trace_id().empty());
    return;
  }
  check(context.parent.size() == limits::kTraceParentBytes && context.parent.starts_with("00-"));
  check(context.trace_id().size() == 32);
  check(context.state.size() <= limits::kTraceStateBytesMax);
  check(context.state.find_first_of(std::string_view("\0\r\n", 3)) == std::string::npos);
  check(parse_trace_context(context.parent, context.state) == context);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(input.find('\n'), input.size());
  parse(input.substr(0, line), input.substr(std::min(line + 1, input.size())));
  parse(kParent, input);
  parse(input, "a=1");
  // A valid parent with one part replaced, so that random bytes reach every field.
  const std::size_t place = size == 0 ? 0 : data[0] % kParent.size();
  std::string near(kParent);
  near.replace(place, std::min(input.size(), near.size() - place), input.substr(0, near.size() - place));
  parse(near, "congo=t61rcWkgMzE, " + std::string(input));
  parse(std::string(kParent) + std::string(input), "");
  return 0;
}
