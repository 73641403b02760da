// SPDX-License-Identifier: Apache-2.0
#include "http/document.h"

#include <algorithm>
#include <cctype>

namespace skep::http {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Calls `visit` with each item of a list with commas until it returns true; whether it did.
template <class Visit>
bool any_item(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (visit(trimmed(list.substr(0, comma)))) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool accepts_gzip(const Request& request) {
  const auto* accept = request.headers.find("Accept-Encoding");
  if (accept == nullptr) return false;
  return any_item(*accept, [](std::string_view item) {
    const auto semicolon = std::min(item.find(';'), item.size());
    std::string name(trimmed(item.substr(0, semicolon)));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name != "gzip") return false;
    // "q=0", "q=0.0": not that one.
    const auto weight = item.substr(semicolon);
    const auto equals = weight.find('=');
    return equals == std::string_view::npos || weight.find_first_of("123456789", equals) != weight.npos;
  });
}

bool has_already(const Request& request, std::string_view tag) {
  const auto* known = request.headers.find("If-None-Match");
  if (known == nullptr) return false;
  return any_item(*known, [&](std::string_view item) {
    if (item.starts_with("W/")) item.remove_prefix(2);
    return item == "*" || item == tag;
  });
}

}  // namespace

Response serve(const Document& document, const Request& request) {
  const bool is_compressed = document.gzip != nullptr && accepts_gzip(request);
  Response response;
  for (const auto& [name, value] : document.headers) response.headers.set(name, value);
  if (document.gzip != nullptr) response.headers.set("Vary", "Accept-Encoding");
  if (!document.etag.empty()) {
    const std::string tag = "\"" + document.etag + (is_compressed ? "-gzip\"" : "\"");
    response.headers.set("ETag", tag);
    response.headers.set("Cache-Control", "no-cache");
    if (has_already(request, tag)) {
      response.status = 304;
      return response;
    }
  }
  response.headers.set("Content-Type", document.content_type);
  if (is_compressed) response.headers.set("Content-Encoding", "gzip");
  response.body = is_compressed ? document.gzip : document.plain;
  return response;
}

}  // namespace skep::http
