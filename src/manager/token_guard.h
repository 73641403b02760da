// SPDX-License-Identifier: Apache-2.0
// token_guard.h - who may call what: the tokens of the store, as this manager knows them now.
//
// A manager whose store never had a token lets everybody do everything. From the first token on each call
// needs one, but for those that api/endpoints.h leaves to everybody; that stays so while the process lives,
// whatever becomes of the tokens. The store is read again twice a second: what another manager, or a command
// on the store, adds or ends is known here in a second. While the store is away what was read last counts.
//
// Threads:   check, is_still_valid and has_tokens from any thread; start and stop from the owner's; the rest
//            from any thread, with replies on the guard's own, which there is if there is a place for tokens;
//            else they come inside the call.
// Errors:    those of the store, and of a bad request; no message has a part of a secret.
// Ownership: borrows store and clock. After stop() nothing is replied any more.
// Cost:      a check without tokens is one load; with them a short lock, a look-up and SHA-256 of 80 bytes.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoints.h"
#include "base/executor.h"
#include "base/function.h"
#include "base/log.h"
#include "base/network.h"
#include "http/message.h"
#include "store/token_store.h"

namespace skep::manager {

// What a call that was let in came with.
struct Caller {
  std::string token_id;       // "": none was asked for
  Role role = Role::kClient;  // the token's
};

class TokenGuard {
 public:
  template <class T>
  using Reply = UniqueFunction<void(Result<T>)>;

  struct Options {
    std::vector<Network> seed_clients;  // they need none for the seed's calls
    Duration interval = milliseconds(500);
  };

  // `tokens` null: there is no place for any.
  TokenGuard(store::TokenStore* tokens, const Clock& clock, Options options, Logger log);
  ~TokenGuard();

  // Reads the store once and goes on reading it.
  Result<void> start();
  void stop();

  bool has_tokens() const;

  // Success: it is let in. kUnauthenticated, kForbidden: it is not. kNotFound: its token is not known here;
  // look_again() may change that.
  Result<Caller> check(const http::Request& request, api::Endpoint endpoint) const;
  // The error of a token that is not known, after that.
  static Error unknown_token();
  // Reads the store soon, with all who ask for it, and then calls `done`.
  void look_again(UniqueFunction<void()> done);
  bool is_still_valid(const Caller& caller) const;

  // A token of role worker that this process alone accepts, for the workers that it starts.
  const std::string& own_workers_token() const;

  using Made = std::pair<std::string, TokenRecord>;  // the token itself, its record
  void list(Reply<std::vector<TokenRecord>> reply);
  // `lifetime` zero: without end. kConflict: this store has no token yet, and the first is made on the store.
  void create(Role role, std::string name, Duration lifetime, Reply<Made> reply);
  // Makes a successor with the same role, name and lifetime; the old one ends after `overlap`.
  void rotate(std::string id, Duration overlap, Reply<Made> reply);
  void revoke(std::string id, Reply<TokenRecord> reply);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What rotate does, for those who have the store itself.
Result<TokenGuard::Made> rotate_token(store::TokenStore& tokens, const std::string& id, Duration overlap,
                                      Instant now);

}  // namespace skep::manager
