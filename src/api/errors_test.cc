// SPDX-License-Identifier: Apache-2.0
// The table of codes: complete, and what a server writes is what a client reads.
#include "api/errors.h"

#include <gtest/gtest.h>

#include <set>

#include "api/json.h"
#include "api/skep.pb.h"

namespace skep::api {
namespace {

constexpr Code kAll[] = {Code::kInvalid,        Code::kNotFound,  Code::kConflict,    Code::kFenced,
                         Code::kStaleLease,     Code::kExhausted, Code::kUnavailable, Code::kTimeout,
                         Code::kUnknownOutcome, Code::kCorrupt,   Code::kInternal,    Code::kUnauthenticated,
                         Code::kForbidden};

TEST(Errors, EachCodeHasAStatusAndAnExitCodeOfItsOwn) {
  std::set<int> exit_codes{kExitOk, kExitFailure};
  for (const Code code : kAll) {
    EXPECT_EQ(info(code).code, code);
    EXPECT_GE(info(code).http_status, 400);
    EXPECT_LT(info(code).http_status, 600);
    EXPECT_TRUE(exit_codes.insert(info(code).exit_code).second) << code_name(code);
  }
}

TEST(Errors, ProblemOfEveryCodeComesBackAsTheSameError) {
  for (const Code code : kAll) {
    const Error error = fail(code, "a \"sentence\"\nwith all sorts \xc3\xa9");
    EXPECT_EQ(error_from_problem(info(code).http_status, problem_json(error)), error);
  }
}

TEST(Errors, NamesAreParsedBack) {
  for (const Code code : kAll) EXPECT_EQ(parse_code(code_name(code)), code);
  EXPECT_EQ(parse_code("ok"), std::nullopt);
}

TEST(Errors, ProblemIsRfc9457) {
  v1::Problem problem;
  ASSERT_TRUE(from_json(problem_json(fail(Code::kNotFound, "no task x")), problem).has_value());
  EXPECT_EQ(problem.type(), "/problems/not_found");
  EXPECT_EQ(problem.status(), 404u);
  EXPECT_EQ(problem.detail(), "no task x");
  EXPECT_EQ(problem.code(), "not_found");
}

TEST(Errors, ProblemsOfTheServerItselfHaveTitlesForPeopleToo) {
  v1::Problem problem;
  ASSERT_TRUE(from_json(problem_json(405, "method_not_allowed", "only GET"), problem).has_value());
  EXPECT_EQ(problem.type(), "/problems/method_not_allowed");
  EXPECT_EQ(problem.title(), "Method not allowed");
  ASSERT_TRUE(from_json(problem_json(404, "not_found", "nothing at /x"), problem).has_value());
  EXPECT_EQ(problem.title(), info(Code::kNotFound).title);
}

TEST(Errors, DetailThatIsNotUtf8DoesNotBreakTheProblem) {
  EXPECT_EQ(error_from_problem(400, problem_json(fail(Code::kInvalid, "bad \xff byte"))).message,
            "bad ? byte");
}

TEST(Errors, ForeignAnswersGetTheCodeOfTheirStatus) {
  EXPECT_EQ(error_from_problem(404, "<html>").code, Code::kNotFound);
  EXPECT_EQ(error_from_problem(503, "").code, Code::kUnavailable);
  EXPECT_EQ(error_from_problem(429, "{}").code, Code::kExhausted);
  EXPECT_EQ(error_from_problem(500, "oops").code, Code::kInternal);
  EXPECT_EQ(error_from_problem(418, "").code, Code::kInvalid);
  EXPECT_EQ(error_from_problem(502, "").code, Code::kUnknownOutcome);
  EXPECT_EQ(error_from_problem(413, problem_json(413, "too_large", "too much")).message, "too much");
  EXPECT_EQ(error_from_problem(413, problem_json(413, "too_large", "too much")).code, Code::kInvalid);
}

}  // namespace
}  // namespace skep::api
