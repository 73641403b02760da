// SPDX-License-Identifier: Apache-2.0
// token_store.h - where a store's tokens lie: beside its shards, and for all managers of the store at once.
//
// Kept apart from store.h because its life is another: it is read and changed while a manager, or several,
// have the store open, and also when none has. docs/security.md says who uses it; test/contract is its
// definition for every engine.
//
//   memory     in the process
//   rocksdb    the file skep.tokens in the directory, replaced as a whole; skep.tokens.lock for who changes
//   it log        the same postgres   the table skep.tokens
//
// Threads:   one at a time, unless said.
// Errors:    kUnavailable: the store is away, nothing changed; kUnknownOutcome: it may have; kCorrupt:
// damaged,
//            and the message names the place; kInvalid: no permission, or of a newer skep.
// Ownership: independent of a Store on the same place, which may be open or not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "task/access_token.h"

namespace skep::store {

enum class TokenEnd : std::uint8_t {
  kRevoked,  // marked as such
  kRotated,  // only its time is shortened
};

// What ended so long ago is forgotten when another token is added.
inline constexpr Duration kTokenMemory = hours(24 * 30);

class TokenStore {
 public:
  virtual ~TokenStore() = default;

  // Durable when it returns. kConflict: there is one of that id.
  virtual Result<void> add(const TokenRecord& record) = 0;

  // The token ends at `at`, or when it ended before, durably; no later call makes it last longer. Success:
  // what it is now. kNotFound: there is none of that id.
  virtual Result<TokenRecord> end(const std::string& id, Instant at, TokenEnd how) = 0;

  // All there are, by age and id: valid, expired and revoked ones.
  virtual Result<std::vector<TokenRecord>> list() = 0;
};

// For an engine with no place of its own. Any thread.
std::unique_ptr<TokenStore> make_memory_tokens();

// In the directory of an embedded engine, made if it is missing and its parent exists. Safe beside other
// processes.
std::unique_ptr<TokenStore> open_directory_tokens(std::string directory);

// In the database, where its table is made if it is missing. kInvalid, kUnavailable.
Result<std::unique_ptr<TokenStore>> open_postgres_tokens(const std::string& conninfo);

}  // namespace skep::store
