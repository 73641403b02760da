// SPDX-License-Identifier: Apache-2.0
// token_list.h - what the calls of token_store.h do to a list of records, and its text form in a file. Pure.
//
// Threads:   any thread.
// Errors:    parse: kCorrupt, kInvalid (of a newer skep); the caller names the place.
#pragma once

#include <string>
#include <vector>

#include "store/token_store.h"

namespace skep::store {

using TokenList = std::vector<TokenRecord>;

Result<void> add_token(TokenList& list, const TokenRecord& record);
Result<TokenRecord> end_token(TokenList& list, const std::string& id, Instant at, TokenEnd how);

// One line a token; docs/store_format.md describes it.
std::string format_tokens(const TokenList& list);
Result<TokenList> parse_tokens(const std::string& text);

Error no_such_token(const std::string& id);
Error token_exists(const std::string& id);

}  // namespace skep::store
