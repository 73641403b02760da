// SPDX-License-Identifier: Apache-2.0
// The tokens of an embedded engine, in a file of its directory; and those of the engine without one.
#include "store/change_lock.h"
#include "store/store_directory.h"
#include "store/store_pool.h"
#include "store/token_list.h"

namespace skep::store {
namespace {

class DirectoryTokens final : public TokenStore {
 public:
  explicit DirectoryTokens(std::string directory)
      : directory_(std::move(directory)), path_(directory_ + "/" + std::string(kTokensFileName)) {}

  Result<void> add(const TokenRecord& record) override {
    return change([&](TokenList& list) { return add_token(list, record); });
  }

  Result<TokenRecord> end(const std::string& id, Instant at, TokenEnd how) override {
    TokenRecord ended;
    SKEP_TRY(change([&](TokenList& list) -> Result<void> {
      SKEP_TRY(ended, end_token(list, id, at, how));
      return ok();
    }));
    return ended;
  }

  Result<TokenList> list() override {
    auto text = read_checked_file(path_);
    if (!text && text.error().code == Code::kNotFound) return TokenList();
    if (!text) return text.error();
    auto list = parse_tokens(text.value());
    if (!list) return with_context(list.error(), path_);
    return list;
  }

 private:
  template <class Change>
  Result<void> change(Change change) {
    // Refuses what is no place for a store.
    SKEP_TRY(look_at_directory(directory_));
    SKEP_TRY(make_directory(directory_));
    ChangeLock lock;
    SKEP_TRY(lock.take(path_ + ".lock"));
    SKEP_TRY(auto tokens, list());
    SKEP_TRY(change(tokens));
    return write_secret_file(directory_, kTokensFileName, format_tokens(tokens));
  }

  const std::string directory_;
  const std::string path_;
};

class MemoryTokens final : public TokenStore {
 public:
  Result<void> add(const TokenRecord& record) override {
    return tokens_.with([&](TokenList& list) { return add_token(list, record); });
  }
  Result<TokenRecord> end(const std::string& id, Instant at, TokenEnd how) override {
    return tokens_.with([&](TokenList& list) { return end_token(list, id, at, how); });
  }
  Result<TokenList> list() override {
    return tokens_.with([](const TokenList& list) { return Result<TokenList>(list); });
  }

 private:
  Guarded<TokenList> tokens_;
};

}  // namespace

std::unique_ptr<TokenStore> make_memory_tokens() {
  return std::make_unique<MemoryTokens>();
}

std::unique_ptr<TokenStore> open_directory_tokens(std::string directory) {
  return std::make_unique<DirectoryTokens>(std::move(directory));
}

}  // namespace skep::store
