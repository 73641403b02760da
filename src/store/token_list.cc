// SPDX-License-Identifier: Apache-2.0
#include "store/token_list.h"

#include <algorithm>
#include <sstream>
#include <tuple>

#include "base/secret.h"

namespace skep::store {
namespace {

constexpr std::string_view kFirstLine = "skep tokens 1";

bool is_older(const TokenRecord& a, const TokenRecord& b) {
  return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id);
}

TokenList::iterator find_token(TokenList& list, const std::string& id) {
  return std::find_if(list.begin(), list.end(), [&](const TokenRecord& record) { return record.id == id; });
}

Result<TokenRecord> parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string role, salt, hash;
  std::int64_t created_ms = 0, expires_ms = 0;
  TokenRecord record;
  words >> record.id >> role >> created_ms >> expires_ms >> record.is_revoked >> salt >> hash;
  const auto known = parse_role(role);
  record.salt = bytes_of_hex(salt);
  record.hash = bytes_of_hex(hash);
  if (!words || !known || record.salt.empty() || record.hash.size() != kSha256Bytes) {
    return fail(Code::kCorrupt, "the line of token '" + record.id.substr(0, 32) + "' is not understood");
  }
  record.role = *known;
  record.created_at = from_unix_ms(created_ms);
  record.expires_at = from_unix_ms(expires_ms);
  words.get();  // the blank before the name
  std::getline(words, record.name);
  return record;
}

}  // namespace

Error no_such_token(const std::string& id) {
  return fail(Code::kNotFound, "there is no token '" + id.substr(0, 64) + "': `skep token list` shows them");
}

Error token_exists(const std::string& id) {
  return fail(Code::kConflict, "there is a token '" + id + "' already");
}

Result<void> add_token(TokenList& list, const TokenRecord& record) {
  if (find_token(list, record.id) != list.end()) return token_exists(record.id);
  std::erase_if(list, [&](const TokenRecord& old) {
    return old.expires_at != kNever && old.expires_at + kTokenMemory < record.created_at;
  });
  list.insert(std::upper_bound(list.begin(), list.end(), record, is_older), record);
  return ok();
}

Result<TokenRecord> end_token(TokenList& list, const std::string& id, Instant at, TokenEnd how) {
  const auto found = find_token(list, id);
  if (found == list.end()) return no_such_token(id);
  found->expires_at = std::min(found->expires_at, at == kNever ? kNever : from_unix_ms(to_unix_ms(at)));
  if (how == TokenEnd::kRevoked) found->is_revoked = true;
  return *found;
}

std::string format_tokens(const TokenList& list) {
  std::string text = std::string(kFirstLine) + "\n";
  for (const auto& record : list) {
    text += record.id + " " + std::string(role_name(record.role)) + " " +
            std::to_string(to_unix_ms(record.created_at)) + " " +
            std::to_string(to_unix_ms(record.expires_at)) + (record.is_revoked ? " 1 " : " 0 ") +
            hex_of(record.salt) + " " + hex_of(record.hash) + " " + record.name + "\n";
  }
  return text;
}

Result<TokenList> parse_tokens(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  if (line != kFirstLine) {
    return line.starts_with("skep tokens ")
               ? fail(Code::kInvalid, "it is of a newer skep: use that one")
               : fail(Code::kCorrupt, "it does not begin with '" + std::string(kFirstLine) + "'");
  }
  TokenList list;
  while (std::getline(lines, line)) {
    SKEP_TRY(auto record, parse_line(line));
    list.push_back(std::move(record));
  }
  return list;
}

}  // namespace skep::store
