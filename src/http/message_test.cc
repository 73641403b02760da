// SPDX-License-Identifier: Apache-2.0
// Targets, escapes and headers: examples for what is meant, properties for everything else.
#include "http/message.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace skep::http {
namespace {

TEST(Method, NamesAndMethodsAreInverses) {
  for (const Method method :
       {Method::kGet, Method::kHead, Method::kPut, Method::kPost, Method::kPatch, Method::kDelete}) {
    EXPECT_EQ(method_of(method_name(method)), method);
  }
  EXPECT_EQ(method_of("get"), Method::kOther);
  EXPECT_EQ(method_of(""), Method::kOther);
  EXPECT_EQ(method_name(Method::kOther), "OTHER");
}

TEST(Headers, NamesCompareWithoutCase) {
  Headers headers;
  headers.set("X-Iterations", "5");
  ASSERT_NE(headers.find("x-ITERATIONS"), nullptr);
  EXPECT_EQ(*headers.find("x-iterations"), "5");
  EXPECT_EQ(headers.find("x-iteration"), nullptr);
}

TEST(Headers, SetReplacesEveryFieldOfTheNameAndAddKeepsThem) {
  Headers headers;
  headers.add("A", "1");
  headers.add("B", "2");
  headers.add("a", "3");
  EXPECT_EQ(headers.all().size(), 3u);
  EXPECT_EQ(*headers.find("A"), "1");
  headers.set("A", "4");
  EXPECT_EQ(headers.all().size(), 2u);
  EXPECT_EQ(*headers.find("a"), "4");
}

TEST(Headers, FieldsOfOneNameAreJoinedInTheirOrder) {
  Headers headers;
  headers.add("A", "1");
  headers.add("B", "2");
  headers.add("a", "");
  headers.add("A", "3");
  EXPECT_EQ(headers.joined("a"), "1, , 3");
  EXPECT_EQ(headers.joined("b"), "2");
  EXPECT_EQ(headers.joined("c"), "");
}

TEST(Request, ParamIsTheFirstOfItsName) {
  Request request;
  request.query = {{"a", "1"}, {"a", "2"}, {"b", ""}};
  EXPECT_EQ(request.param("a"), "1");
  EXPECT_EQ(request.param("b"), "");
  EXPECT_EQ(request.param("c"), std::nullopt);
}

TEST(Response, TextHasItsTypeAndBody) {
  const Response response = Response::text(404, "text/plain", "gone");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(*response.headers.find("content-type"), "text/plain");
  EXPECT_EQ(*response.body, "gone");
}

TEST(PercentDecode, DecodesEscapesAndPlusWhereAsked) {
  EXPECT_EQ(percent_decode("%41+b%2f%2F", PlusIs::kBlank).value(), "A b//");
  EXPECT_EQ(percent_decode("%41+b", PlusIs::kPlus).value(), "A+b");
  EXPECT_EQ(percent_decode("%2B", PlusIs::kBlank).value(), "+");
}

TEST(PercentDecode, RefusesBrokenEscapesAndZeroBytes) {
  for (const std::string_view text : {"%", "%4", "%4g", "%g4", "a%", "%%41", "%00", "%-1"}) {
    EXPECT_EQ(percent_decode(text, PlusIs::kPlus).error().code, Code::kInvalid) << text;
  }
  EXPECT_EQ(percent_decode(std::string_view("\0", 1), PlusIs::kPlus).error().code, Code::kInvalid);
}

TEST(ParseTarget, SplitsPathAndParameters) {
  const Target target = parse_target("/v1/a%20b+c?x=1&y=a+b%26&flag&=v&&x=2").value();
  EXPECT_EQ(target.path, "/v1/a b+c");
  EXPECT_EQ(target.query, (Query{{"x", "1"}, {"y", "a b&"}, {"flag", ""}, {"", "v"}, {"x", "2"}}));
}

TEST(ParseTarget, TakesATargetWithoutParameters) {
  EXPECT_EQ(parse_target("/").value().path, "/");
  EXPECT_TRUE(parse_target("/?").value().query.empty());
  EXPECT_EQ(parse_target("/a?b?c=d=e").value().query, (Query{{"b?c", "d=e"}}));
}

TEST(ParseTarget, RefusesWhatIsNotOne) {
  for (const char* text : {"", "*", "a/b", "?a=b", "/%", "/a?b=%", "/a?%=b"}) {
    EXPECT_EQ(parse_target(text).error().code, Code::kInvalid) << text;
  }
}

RC_GTEST_PROP(PercentEncode, DecodesBackToItself, (const std::string& text)) {
  RC_PRE(text.find('\0') == std::string::npos);
  RC_ASSERT(percent_decode(percent_encode(text), PlusIs::kBlank).value() == text);
  RC_ASSERT(percent_decode(percent_encode(text), PlusIs::kPlus).value() == text);
}

RC_GTEST_PROP(PercentEncode, LeavesOnlyUnreservedCharactersAndEscapes, (const std::string& text)) {
  for (const char c : percent_encode(text)) {
    RC_ASSERT(c == '%' || c == '-' || c == '.' || c == '_' || c == '~' || (c >= '0' && c <= '9') ||
              (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
  }
}

RC_GTEST_PROP(ParseTarget, GivesBackEveryPathAndParameter,
              (const std::string& path, const std::vector<std::pair<std::string, std::string>>& query)) {
  const auto has_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  RC_PRE(!has_zero(path));
  std::string target = "/" + percent_encode(path) + "?";
  for (const auto& [name, value] : query) {
    RC_PRE(!has_zero(name) && !has_zero(value));
    target += percent_encode(name) + "=" + percent_encode(value) + "&";
  }
  const Result<Target> parsed = parse_target(target);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed.value().path == "/" + path);
  RC_ASSERT(parsed.value().query == query);
}

RC_GTEST_PROP(ParseTarget, AnswersEveryTextWithoutCrashing, (const std::string& text)) {
  const Result<Target> parsed = parse_target("/" + text);
  if (parsed) RC_ASSERT(parsed.value().path.starts_with('/'));
}

}  // namespace
}  // namespace skep::http
