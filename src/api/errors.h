// SPDX-License-Identifier: Apache-2.0
// errors.h - one table: what an error code is in HTTP, as an exit code, and whether a retry can help.
//
// Threads:   immutable.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace skep::api {

struct CodeInfo {
  Code code;
  int http_status;
  int exit_code;      // of the command line; docs/operating.md lists them
  bool is_retryable;  // the same request may succeed later
  std::string_view title;
};

const CodeInfo& info(Code code);

// The inverse of code_name.
std::optional<Code> parse_code(std::string_view name);

// The code that a status from a manager stands for, when the body does not say.
Code code_for_status(int http_status);

// Exit codes that are not a Code's.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure =
    1;  // the command's own answer is "no": a result differs, a store has findings
inline constexpr int kExitUsage = 2;  // the command line or configuration is wrong

// The `type` of a problem: stable, relative, "/problems/not_found".
std::string problem_type(Code code);

// RFC 9457 body of `error`.
std::string problem_json(const Error& error);
// The same for a status that no Code stands for (405, 413, 431...).
std::string problem_json(int status, std::string_view name, std::string_view detail);

// What a client makes of an answer that is not 2xx.
Error error_from_problem(int status, std::string_view body);

}  // namespace skep::api
