// fuzz: links task
// SPDX-License-Identifier: Apache-2.0
// Goal: no text makes a parser of ids, lease tokens, durations, sizes, states or names crash, and what is
// taken is written and read back as the same value. Method: the input goes to each of them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/time.h"
#include "task/id.h"
#include "task/record_check.h"
#include "task/task.h"

namespace {

using namespace skep;  // NOLINT(google-build-using-namespace): one file, no header

void check(bool condition) {
  if (!condition) std::abort();
}

void parse_ids(std::string_view input) {
  if (const auto id = TaskId::parse(input)) {
    check(id.value().to_string() == input && id.value().sequence <= kSequenceMax);
  } else {
    check(id.error().code == Code::kInvalid && !id.error().message.empty());
  }
  if (const auto token = LeaseToken::parse(input)) {
    check(token.value().number >= 1 && LeaseToken::parse(token.value().to_string()).value() == token.value());
  } else {
    check(token.error().code == Code::kInvalid && !token.error().message.empty());
  }
}

void parse_units(std::string_view input) {
  if (const auto duration = parse_duration(input)) {
    check(duration.value() >= Duration::zero());
    check(parse_duration(format_duration(duration.value())).value() == duration.value());
    check(!describe_duration(duration.value()).empty());
  } else {
    check(duration.error().code == Code::kInvalid);
  }
  if (const auto bytes = parse_bytes(input)) {
    check(parse_bytes(std::to_string(bytes.value())).value() == bytes.value());
    check(!describe_bytes(bytes.value()).empty());
  } else {
    check(bytes.error().code == Code::kInvalid);
  }
}

void parse_names(std::string_view input) {
  if (const auto state = parse_state(input)) check(state_name(*state) == input);
  QueueRecord queue;
  queue.name = input;
  check(validate_name("queue", input).has_value() == check_record(queue).empty());
  TaskSpec spec;
  spec.iterations = 1;
  spec.tags = {std::string(input)};
  check(validate(spec).has_value() == validate_name("tag", input).has_value());
  spec.tags.clear();
  spec.kind = input;
  (void)validate(spec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  parse_ids(input);
  parse_units(input);
  parse_names(input);
  return 0;
}
