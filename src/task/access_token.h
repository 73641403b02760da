// SPDX-License-Identifier: Apache-2.0
// access_token.h - what says who calls: a secret that its holder sends, and the record that it is checked by.
//
// A token reads skep_ID_SECRET. ID names it to people and may be shown; SECRET is 256 random bits and is
// known to its holder alone: the record keeps a salted hash of it. Since nobody can guess 256 bits, a fast
// hash does.
//
// Threads:   value.
// Errors:    parse_role: nothing. check_token_name: kInvalid with a sentence that does not repeat the name.
// Units:     instants are base/time.h types, exact to the millisecond where they are stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace skep {

// What a holder may do: api/endpoints.h says which endpoints that is.
enum class Role : std::uint8_t { kViewer, kClient, kWorker, kSibling, kAdmin };
inline constexpr Role kAllRoles[] = {Role::kViewer, Role::kClient, Role::kWorker, Role::kSibling,
                                     Role::kAdmin};

std::string_view role_name(Role role);
// All of them, for a sentence.
inline constexpr std::string_view kRolesInWords = "viewer, client, worker, sibling or admin";
std::optional<Role> parse_role(std::string_view name);

struct TokenRecord {
  std::string id;
  Role role = Role::kClient;
  std::string name;  // for people; may be ""
  std::string salt;
  std::string hash;  // of salt and secret
  Instant created_at{};
  Instant expires_at = kNever;
  bool is_revoked = false;  // else it ended, if it has, by its time

  bool is_valid(Instant now) const { return now < expires_at; }
  bool operator==(const TokenRecord&) const = default;
};

inline constexpr std::size_t kTokenNameMax = 64;
// Up to 64 printable ASCII characters.
Result<void> check_token_name(std::string_view name);

// A new token and its record. Of the times only milliseconds count.
std::pair<std::string, TokenRecord> make_token(Role role, std::string name, Instant now, Instant expires_at);

// The two parts of a token; nothing if it has not the form of one.
struct TokenParts {
  std::string_view id;
  std::string_view secret;
};
std::optional<TokenParts> split_token(std::string_view token);

// Whether `secret` is that of the record, in constant time.
bool is_secret_of(const TokenRecord& record, std::string_view secret);

}  // namespace skep
