// SPDX-License-Identifier: Apache-2.0
// program.h - a program that tasks of kind command may name: its arguments, what a client may say in them,
// its limits, and what its exit codes mean.
//
// A client gives values of declared parameters and nothing else. A value becomes one argument or a part of
// one: nothing is split, and nothing is looked for in it. What no declared kind lets through can not reach
// the program.
//
// Threads:   value.
// Errors:    kInvalid with a sentence that names the program or the parameter.
// Units:     bytes, base/time.h types.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "task/limits.h"

namespace skep::worker {

struct Parameter {
  enum class Kind : std::uint8_t {
    kNumber,  // from min to max
    kChoice,  // one of `choices`
    kWord,    // a-z A-Z 0-9 . _ - : and neither "." nor ".."
    kText,    // anything without control characters
    kAny,     // anything without a zero byte, also with a dash at its beginning
  };
  std::string name;
  Kind kind = Kind::kText;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::vector<std::string> choices;
};

// "width=1..4000", "format=jpeg|png", "name=word", "title=text", "file=any".
Result<Parameter> parse_parameter(const std::string& text);

// What exit codes mean. What is in no list is retried; where `retried` has something, it is not.
struct ExitCodes {
  using List = std::bitset<256>;
  List success = List().set(0);
  List permanent = List().set(65);  // EX_DATAERR
  List retried;

  bool is_permanent(int code) const {
    const auto at = static_cast<std::size_t>(code);
    return permanent[at] || (retried.any() && !retried[at]);
  }
};
// "0,2-5".
Result<ExitCodes::List> parse_exit_codes(std::string_view text);

// 0 is no limit.
struct ProgramLimits {
  Duration time{};              // of a run; the task's own timeout may be shorter
  Duration grace = seconds(5);  // between SIGTERM and SIGKILL once the time is over
  Duration cpu{};               // processor time
  std::uint64_t memory_bytes = 0;
  std::uint64_t output_bytes = limits::kResultBytesMax;  // never more
  std::uint32_t processes = 0;                           // at once

  bool need_cgroup() const { return memory_bytes > 0 || processes > 0 || cpu > Duration::zero(); }
};

struct Program {
  Program() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): arguments alone are the usual case.
  Program(std::vector<std::string> a) : arguments(std::move(a)) {}

  std::vector<std::string>
      arguments;  // the path of the program first; {NAME} stands for a declared parameter
  std::vector<Parameter> parameters;
  ProgramLimits limits;
  ExitCodes exit_codes;
  bool is_body_file = false;  // the body is a file, whose path stands for {body}; else it is standard input
  bool has_network = true;
  bool inherits_environment = false;  // the worker's; else PATH and what tells of the task
  bool is_reported = false;           // the result is a RunReport, whatever the exit code
  std::string directory;  // where it runs; "": a directory of its own, empty and removed; ".": the
                          // worker's
};

// Name of a program -> what it is.
using Programs = std::map<std::string, Program>;

// What can be known to be wrong before any task comes: a placeholder where the program or a script for a
// shell stands, a name given twice.
Result<void> validate(const std::string& name, const Program& program);

// The arguments with the values of `given` ("NAME=VALUE") in their places. kInvalid: a value that its
// declaration does not allow, one that is missing, one that nobody declared.
Result<std::vector<std::string>> fill_in(const Program& program, const std::vector<std::string>& given,
                                         const std::string& body_path);

// `programs` with absolute paths: names without '/' are looked up in PATH. kInvalid: nothing to run is there.
Result<Programs> resolve(Programs programs);

// Where programs without a '/' are looked up.
std::string search_path();

}  // namespace skep::worker
