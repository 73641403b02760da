// SPDX-License-Identifier: Apache-2.0
// message.h - an HTTP request and response as plain values.
//
// Not here: sockets and parsing (http/server.h, http/client.h). Bodies are shared and never change, so they
// are passed between threads and into the store without a copy.
//
// Threads:   value.
// Units:     sizes are bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace skep::http {

using Body = std::shared_ptr<const std::string>;

enum class Method : std::uint8_t { kGet, kHead, kPut, kPost, kPatch, kDelete, kOther };

std::string_view method_name(Method method);
// The inverse; kOther for every name that is not in the list (names are case-sensitive).
Method method_of(std::string_view name);

// Header fields in order; names compare without case.
class Headers {
 public:
  void set(std::string_view name, std::string value);    // replaces every field of that name
  void add(std::string_view name, std::string value);    // keeps the others of that name
  const std::string* find(std::string_view name) const;  // the first of that name; null if none
  // Every field of that name, in their order, with ", " between them; "" if there is none.
  std::string joined(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Decoded query parameters in order.
using Query = std::vector<std::pair<std::string, std::string>>;

struct Request {
  Method method = Method::kGet;
  std::string path;  // decoded, without the query; begins with '/'
  Query query;
  Headers headers;
  Body body;                     // never null
  std::string peer_address;      // "127.0.0.1", "::1"; no port
  std::uint64_t connection = 0;  // unique in this server's life, never 0

  // The first query parameter of that name.
  std::optional<std::string_view> param(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Connection and Date are the server's
  Body body;        // null is empty

  static Response text(int status, std::string_view content_type, std::string body);
};

// Decodes "%41+b" (plus is a blank in a query, itself in a path). kInvalid: a broken escape or a NUL.
enum class PlusIs : std::uint8_t { kBlank, kPlus };
Result<std::string> percent_decode(std::string_view text, PlusIs plus);
std::string percent_encode(std::string_view text);

// Splits a request target "/path?a=1&b=2". kInvalid: no leading '/', a broken escape.
struct Target {
  std::string path;
  Query query;
};
Result<Target> parse_target(std::string_view target);

}  // namespace skep::http
