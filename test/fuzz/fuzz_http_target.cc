// fuzz: links http
// SPDX-License-Identifier: Apache-2.0
// Goal: no request target makes the parsers or the router crash, and what they take keeps its promises.
// Method: each input as a target, as an escaped text and as a URL; the path that comes out goes to a router.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/client.h"
#include "http/message.h"
#include "http/router.h"

namespace {

using namespace skep::http;  // NOLINT(google-build-using-namespace): one file, no header
using skep::Code;
using skep::Result;

Router make_router() {
  Router router;
  std::size_t route = 0;
  for (const char* path : {"/", "/v1/tasks", "/v1/tasks:batch", "/v1/tasks/{id}", "/v1/tasks/{id}:retry",
                           "/v1/tasks/{id}/result", "/v1/queues/{name}", "/{a}/x-{b}-y/{c}"}) {
    router.add(Method::kGet, path, route++);
  }
  return router;
}

void check(bool condition) {
  if (!condition) std::abort();
}

void decode_and_encode(std::string_view input) {
  for (const PlusIs plus : {PlusIs::kBlank, PlusIs::kPlus}) {
    const Result<std::string> decoded = percent_decode(input, plus);
    if (!decoded) {
      check(decoded.error().code == Code::kInvalid);
      continue;
    }
    check(decoded.value().find('\0') == std::string::npos);
    check(percent_decode(percent_encode(decoded.value()), plus).value() == decoded.value());
  }
}

void parse_and_route(std::string_view input) {
  static const Router router = make_router();
  const Result<Target> target = parse_target(input);
  if (!target) return check(target.error().code == Code::kInvalid);
  check(target.value().path.starts_with('/'));
  const RouteMatch match = router.match(Method::kGet, target.value().path);
  for (const auto& [name, value] : match.parameters) {
    check(!value.empty() && value.find('/') == std::string::npos);
    check(match.parameter(name) == value);
  }
  if (match.kind == RouteMatch::Kind::kNotFound) check(match.parameters.empty() && match.allow.empty());
}

void parse_as_url(std::string_view input) {
  const Result<Url> url = parse_url(input);
  if (!url) return check(url.error().code == Code::kInvalid);
  check(url.value().port >= 1 && url.value().port <= 65535);
  check(parse_url(url.value().host_port()).value().host_port() == url.value().host_port());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  decode_and_encode(input);
  parse_and_route(input);
  parse_and_route("/" + std::string(input));
  parse_as_url(input);
  return 0;
}
