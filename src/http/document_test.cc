// SPDX-License-Identifier: Apache-2.0
// Which form of a page is sent to whom, and when none is. Method: one page, asked for with different headers.
#include "http/document.h"

#include <gtest/gtest.h>

namespace skep::http {
namespace {

Document page() {
  return {"text/html",
          std::make_shared<const std::string>("plain"),
          std::make_shared<const std::string>("gz"),
          "abc",
          {{"X-Extra", "1"}}};
}

Response ask(const Document& document, std::string_view name = "", std::string value = "",
             std::string_view name2 = "", std::string value2 = "") {
  Request request;
  if (!name.empty()) request.headers.set(name, std::move(value));
  if (!name2.empty()) request.headers.set(name2, std::move(value2));
  return serve(document, request);
}

std::string header(const Response& response, std::string_view name) {
  const auto* value = response.headers.find(name);
  return value == nullptr ? "" : *value;
}

TEST(Document, GoesOutPlainUnlessGzipIsAccepted) {
  for (const char* accept : {"", "br", "gzip;q=0", "gzip; q=0.000", "xgzip", "identity, br;q=1"}) {
    const auto response = ask(page(), "Accept-Encoding", accept);
    EXPECT_EQ(*response.body, "plain") << accept;
    EXPECT_EQ(header(response, "Content-Encoding"), "") << accept;
    EXPECT_EQ(header(response, "ETag"), "\"abc\"") << accept;
  }
  for (const char* accept : {"gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.5", "deflate,gzip"}) {
    const auto response = ask(page(), "Accept-Encoding", accept);
    EXPECT_EQ(*response.body, "gz") << accept;
    EXPECT_EQ(header(response, "Content-Encoding"), "gzip") << accept;
    EXPECT_EQ(header(response, "ETag"), "\"abc-gzip\"") << accept;
  }
  EXPECT_EQ(*ask(page()).body, "plain");
}

TEST(Document, CarriesItsHeadersAndSaysWhatItDependsOn) {
  const auto response = ask(page());
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "Content-Type"), "text/html");
  EXPECT_EQ(header(response, "X-Extra"), "1");
  EXPECT_EQ(header(response, "Vary"), "Accept-Encoding");
  EXPECT_EQ(header(response, "Cache-Control"), "no-cache");
}

TEST(Document, IsNotSentAgainToOneWhoHasIt) {
  for (const char* known : {"\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"}) {
    const auto response = ask(page(), "If-None-Match", known);
    EXPECT_EQ(response.status, 304) << known;
    EXPECT_EQ(response.body, nullptr) << known;
    EXPECT_EQ(header(response, "X-Extra"), "1") << known;
  }
  EXPECT_EQ(ask(page(), "If-None-Match", "\"abd\"").status, 200);
  EXPECT_EQ(ask(page(), "If-None-Match", "\"abc-gzip\"").status, 200) << "that is another form";
  EXPECT_EQ(ask(page(), "If-None-Match", "\"abc-gzip\"", "Accept-Encoding", "gzip").status, 304);
}

TEST(Document, WithoutTagOrCompressedFormIsAlwaysSentWhole) {
  Document plain = page();
  plain.gzip = nullptr;
  plain.etag.clear();
  const auto response = ask(plain, "Accept-Encoding", "gzip", "If-None-Match", "*");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(*response.body, "plain");
  EXPECT_EQ(header(response, "ETag"), "");
  EXPECT_EQ(header(response, "Vary"), "");
}

}  // namespace
}  // namespace skep::http
