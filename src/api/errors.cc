// SPDX-License-Identifier: Apache-2.0
#include "api/errors.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "api/json.h"
#include "api/skep.pb.h"
#include "base/check.h"

namespace skep::api {
namespace {

constexpr std::array<CodeInfo, 13> kCodes{{
    {Code::kInvalid, 400, 2, false, "The request is wrong"},
    {Code::kNotFound, 404, 4, false, "There is no such thing"},
    {Code::kConflict, 409, 5, false, "Its state forbids this"},
    {Code::kFenced, 503, 6, true, "Another manager owns this now"},
    {Code::kStaleLease, 409, 7, false, "The lease is over"},
    {Code::kExhausted, 429, 8, true, "A limit is reached"},
    {Code::kUnavailable, 503, 9, true, "Not now"},
    {Code::kTimeout, 504, 10, true, "It took too long"},
    {Code::kUnknownOutcome, 500, 11, true, "It may or may not have happened"},
    {Code::kCorrupt, 500, 12, false, "Stored data is damaged"},
    {Code::kInternal, 500, 13, false, "Something broke here"},
    {Code::kUnauthenticated, 401, 3, false, "A valid token is needed"},
    {Code::kForbidden, 403, 14, false, "This is not allowed"},
}};

std::string problem_text(std::string_view type, std::string_view title, int status, std::string_view detail,
                         std::string_view code) {
  v1::Problem problem;
  problem.set_type(std::string(type));
  problem.set_title(std::string(title));
  problem.set_status(static_cast<std::uint32_t>(status));
  problem.set_detail(to_valid_utf8(detail));
  problem.set_code(std::string(code));
  return to_json(problem);
}

}  // namespace

const CodeInfo& info(Code code) {
  const auto& row = kCodes[static_cast<std::size_t>(code)];
  SKEP_CHECK(row.code == code, "the table of codes is not in the order of the enum");
  return row;
}

std::optional<Code> parse_code(std::string_view name) {
  for (const auto& row : kCodes) {
    if (code_name(row.code) == name) return row.code;
  }
  return std::nullopt;
}

Code code_for_status(int http_status) {
  if (http_status == 413 || http_status == 414 || http_status == 431 || http_status == 405)
    return Code::kInvalid;
  if (http_status == 408) return Code::kTimeout;
  // A proxy got no usable answer: the manager behind it may be gone, before or after it did what was asked.
  if (http_status == 502) return Code::kUnknownOutcome;
  const auto* row = std::find_if(kCodes.begin(), kCodes.end(), [&](const CodeInfo& candidate) {
    return candidate.http_status == http_status;
  });
  if (http_status == 503) return Code::kUnavailable;
  if (row != kCodes.end() && http_status != 500) return row->code;
  return http_status >= 400 && http_status < 500 ? Code::kInvalid : Code::kInternal;
}

std::string problem_type(Code code) {
  return "/problems/" + std::string(code_name(code));
}

std::string problem_json(const Error& error) {
  const auto& row = info(error.code);
  return problem_text(problem_type(error.code), row.title, row.http_status, error.message,
                      code_name(error.code));
}

std::string problem_json(int status, std::string_view name, std::string_view detail) {
  std::string title(name);
  if (const auto code = parse_code(name)) {
    title = info(*code).title;
  } else {
    std::replace(title.begin(), title.end(), '_', ' ');
    if (!title.empty()) title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  }
  return problem_text("/problems/" + std::string(name), title, status, detail, name);
}

Error error_from_problem(int status, std::string_view body) {
  v1::Problem problem;
  if (from_json(body, problem).has_value() && !problem.code().empty()) {
    return fail(parse_code(problem.code()).value_or(code_for_status(status)), problem.detail());
  }
  return fail(code_for_status(status), "the manager answered " + std::to_string(status));
}

}  // namespace skep::api
