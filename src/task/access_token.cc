// SPDX-License-Identifier: Apache-2.0
#include "task/access_token.h"

#include <algorithm>

#include "base/secret.h"

namespace skep {
namespace {

constexpr std::string_view kPrefix = "skep_";
constexpr std::size_t kIdBytes = 6;
constexpr std::size_t kIdLength = 2 * kIdBytes;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretLength = 2 * kSecretBytes;
constexpr std::size_t kSaltBytes = 16;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Instant to_milliseconds(Instant instant) {
  return instant == kNever ? kNever : from_unix_ms(to_unix_ms(instant));
}

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kClient:
      return "client";
    case Role::kWorker:
      return "worker";
    case Role::kSibling:
      return "sibling";
    case Role::kAdmin:
      return "admin";
  }
  return "viewer";
}

std::optional<Role> parse_role(std::string_view name) {
  for (const Role role : kAllRoles) {
    if (role_name(role) == name) return role;
  }
  return std::nullopt;
}

Result<void> check_token_name(std::string_view name) {
  const bool is_printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (is_printable && name.size() <= kTokenNameMax) return ok();
  return fail(Code::kInvalid, "the name of a token has at most " + std::to_string(kTokenNameMax) +
                                  " printable ASCII characters");
}

std::pair<std::string, TokenRecord> make_token(Role role, std::string name, Instant now, Instant expires_at) {
  TokenRecord record;
  record.id = hex_of(random_secret(kIdBytes));
  record.role = role;
  record.name = std::move(name);
  record.salt = random_secret(kSaltBytes);
  record.created_at = to_milliseconds(now);
  record.expires_at = to_milliseconds(expires_at);
  const std::string secret = hex_of(random_secret(kSecretBytes));
  record.hash = sha256(record.salt, secret);
  return {std::string(kPrefix) + record.id + "_" + secret, std::move(record)};
}

std::optional<TokenParts> split_token(std::string_view token) {
  if (token.size() != kPrefix.size() + kIdLength + 1 + kSecretLength || !token.starts_with(kPrefix)) {
    return std::nullopt;
  }
  token.remove_prefix(kPrefix.size());
  const TokenParts parts{token.substr(0, kIdLength), token.substr(kIdLength + 1)};
  if (token[kIdLength] != '_' || !is_hex(parts.id) || !is_hex(parts.secret)) return std::nullopt;
  return parts;
}

bool is_secret_of(const TokenRecord& record, std::string_view secret) {
  return is_equal_in_constant_time(record.hash, sha256(record.salt, secret));
}

}  // namespace skep
