// SPDX-License-Identifier: Apache-2.0
#include "task/token_import.h"

#include "base/secret.h"

namespace skep {

Result<TokenRecord> record_of(std::string_view token, Role role, std::string name, Instant now) {
  const auto parts = split_token(token);
  if (!parts) return fail(Code::kInvalid, "that is no token of skep");
  TokenRecord record = make_token(role, std::move(name), now, kNever).second;
  record.id = parts->id;
  record.hash = sha256(record.salt, parts->secret);
  return record;
}

}  // namespace skep
