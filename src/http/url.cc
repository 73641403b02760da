// SPDX-License-Identifier: Apache-2.0
// What client.h calls a URL: its text form, read strictly.
#include <charconv>

#include "http/client.h"

namespace skep::http {
namespace {

constexpr std::string_view kPlain = "http://";
constexpr std::string_view kTls = "https://";
constexpr std::string_view kAdvice = ": write http://HOST:PORT, such as http://127.0.0.1:8080";

Error bad_url(std::string_view text, std::string_view why) {
  // What stands before an '@' may be a secret.
  const std::string shown =
      text.find('@') == std::string_view::npos ? "'" + std::string(text) + "'" : "the URL";
  return fail(Code::kInvalid, shown + " " + std::string(why) + std::string(kAdvice));
}

// A name or an IPv4 address, or what stands in the brackets of an IPv6 address.
bool is_host(std::string_view host, bool is_bracketed) {
  if (host.empty() || host.size() > 255) return false;
  if (is_bracketed && host.find(':') == std::string_view::npos) return false;
  for (const char c : host) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         c == '.' || c == '-' || c == '_';
    if (!is_word && !(is_bracketed && (c == ':' || c == '%'))) return false;
  }
  return true;
}

bool is_base_path(std::string_view path) {
  for (const char c : path) {
    if (c <= ' ' || c == 0x7f || c == '?' || c == '#') return false;
  }
  return true;
}

}  // namespace

std::string Url::host_port() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Url> parse_url(std::string_view text) {
  std::string_view rest = text;
  Url url;
  url.is_tls = rest.starts_with(kTls);
  url.port = url.is_tls ? 443 : 80;
  if (url.is_tls || rest.starts_with(kPlain)) rest.remove_prefix(url.is_tls ? kTls.size() : kPlain.size());
  if (rest.find('@') != std::string_view::npos) return bad_url(text, "has a user's name or password in it");
  if (rest.find("://") != std::string_view::npos) return bad_url(text, "is not an http URL");

  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!is_base_path(path)) return bad_url(text, "has a query or blanks");

  const bool is_bracketed = authority.starts_with('[');
  std::size_t host_end = 0;
  if (is_bracketed) {
    authority.remove_prefix(1);
    host_end = authority.find(']');
    if (host_end == std::string_view::npos) return bad_url(text, "has a '[' without a ']'");
  } else {
    host_end = std::min(authority.find(':'), authority.size());
  }
  url.host = std::string(authority.substr(0, host_end));
  url.base_path = std::string(path);
  if (!is_host(url.host, is_bracketed)) return bad_url(text, "has no valid host");

  const std::string_view after_host = authority.substr(host_end + (is_bracketed ? 1 : 0));
  if (after_host.empty()) return url;
  const std::string_view digits = after_host.substr(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  const bool is_port = after_host.front() == ':' && error == std::errc{} &&
                       end == digits.data() + digits.size() && url.port >= 1 && url.port <= 65535;
  if (!is_port) return bad_url(text, "has no valid port");
  return url;
}

}  // namespace skep::http
