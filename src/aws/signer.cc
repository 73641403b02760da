// SPDX-License-Identifier: Apache-2.0
#include "aws/signer.h"

#include <algorithm>
#include <map>

#include "aws/encoding.h"
#include "base/secret.h"

namespace skep::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kBlockBytes = 64;  // of SHA-256

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string block(key.size() > kBlockBytes ? sha256(key, {}) : std::string(key));
  block.resize(kBlockBytes, '\0');
  std::string inner = block;
  std::string outer = block;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  return sha256(outer, sha256(inner, message));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// Without blanks at the ends, and one where there are several.
std::string squeezed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool is_blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!is_blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

bool is_added_by_signing(const std::string& name) {
  return name == "authorization" || name == "x-amz-date" || name == "x-amz-security-token" ||
         name == "x-amz-content-sha256";
}

std::map<std::string, std::string> signed_headers(const HttpRequest& request) {
  std::map<std::string, std::string> headers{{"host", std::string(authority_of(request))}};
  for (const auto& [name, value] : request.headers) {
    const std::string key = lower(name);
    if (key == "user-agent") continue;
    auto& slot = headers[key];
    slot += (slot.empty() ? "" : ",") + squeezed(value);
  }
  return headers;
}

}  // namespace

std::string canonical_query(const Pairs& query) {
  Pairs encoded;
  for (const auto& [name, value] : query) encoded.emplace_back(percent_encoded(name), percent_encoded(value));
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) text += (text.empty() ? "" : "&") + name + "=" + value;
  return text;
}

std::string_view authority_of(const HttpRequest& request) {
  const std::string_view origin = request.origin;
  const std::size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? origin : origin.substr(scheme + 3);
}

void sign(HttpRequest& request, const Credentials& credentials, const SigningScope& scope, Instant now) {
  std::erase_if(request.headers, [](const auto& header) { return is_added_by_signing(lower(header.first)); });
  const bool is_s3 = scope.service == "s3";
  const std::string body_hash = hex_of(sha256(request.body, {}));
  const std::string date = amz_date(now);
  const std::string day = date.substr(0, 8);
  request.headers.emplace_back("x-amz-date", date);
  if (!credentials.session_token.empty())
    request.headers.emplace_back("x-amz-security-token", credentials.session_token);
  if (is_s3) request.headers.emplace_back("x-amz-content-sha256", body_hash);

  std::string canonical = request.method + "\n";
  canonical += is_s3 ? request.path : percent_encoded(request.path, Slash::kKept);
  canonical += "\n" + canonical_query(request.query) + "\n";
  std::string names;
  for (const auto& [name, value] : signed_headers(request)) {
    canonical += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  canonical += "\n" + names + "\n" + body_hash;

  const std::string place = day + "/" + scope.region + "/" + scope.service + "/aws4_request";
  const std::string to_sign =
      std::string(kAlgorithm) + "\n" + date + "\n" + place + "\n" + hex_of(sha256(canonical, {}));
  std::string key = hmac_sha256("AWS4" + credentials.secret_access_key, day);
  key = hmac_sha256(key, scope.region);
  key = hmac_sha256(key, scope.service);
  key = hmac_sha256(key, "aws4_request");
  request.headers.emplace_back(
      "Authorization", std::string(kAlgorithm) + " Credential=" + credentials.access_key_id + "/" + place +
                           ", SignedHeaders=" + names + ", Signature=" + hex_of(hmac_sha256(key, to_sign)));
}

}  // namespace skep::aws
