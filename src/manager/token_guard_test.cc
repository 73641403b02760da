// SPDX-License-Identifier: Apache-2.0
// Goal: the guard lets in whom the table and the store say, and no message gives a token away.
// Method: a guard over the memory token store, wrapped so that reads are counted and can fail.
#include "manager/token_guard.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/clock.h"

namespace skep::manager {
namespace {

using api::Endpoint;

class CountedTokens final : public store::TokenStore {
 public:
  Result<void> add(const TokenRecord& record) override { return inner_->add(record); }
  Result<TokenRecord> end(const std::string& id, Instant at, store::TokenEnd how) override {
    return inner_->end(id, at, how);
  }
  Result<std::vector<TokenRecord>> list() override {
    ++reads;
    if (is_away) return fail(Code::kUnavailable, "away");
    return inner_->list();
  }
  std::atomic<int> reads = 0;
  std::atomic<bool> is_away = false;

 private:
  std::unique_ptr<store::TokenStore> inner_ = store::make_memory_tokens();
};

class TokenGuardTest : public ::testing::Test {
 protected:
  // Hours between two readings: only what is asked for is read.
  void start(std::vector<Network> seeds = {}) {
    guard = std::make_unique<TokenGuard>(&tokens, clock, TokenGuard::Options{std::move(seeds), hours(1)},
                                         Logger());
    ASSERT_TRUE(guard->start());
  }
  std::string add(Role role) {
    auto made = make_token(role, "", clock.now(), kNever);
    EXPECT_TRUE(tokens.add(made.second));
    return made.first;
  }
  // The code of a call; kInternal if it is let in.
  Code code(Endpoint endpoint, const std::string& token = "", const std::string& peer = "10.0.0.1") {
    http::Request request;
    request.peer_address = peer;
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    const auto caller = guard->check(request, endpoint);
    if (caller) return Code::kInternal;
    if (token.size() > 40) {
      EXPECT_EQ(caller.error().message.find(token.substr(18)), std::string::npos) << caller.error().message;
    }
    return caller.error().code;
  }
  void look() {
    std::promise<void> looked;
    guard->look_again([&] { looked.set_value(); });
    looked.get_future().wait();
  }
  template <class T>
  Result<T> wait(std::function<void(TokenGuard::Reply<T>)> begin) {
    std::promise<Result<T>> reply;
    begin([&](Result<T> result) { reply.set_value(std::move(result)); });
    return reply.get_future().get();
  }

  static constexpr Code kLetIn = Code::kInternal;
  SystemClock clock;
  CountedTokens tokens;
  std::unique_ptr<TokenGuard> guard;
};

TEST_F(TokenGuardTest, EverybodyMayUntilTheFirstToken) {
  start();
  EXPECT_FALSE(guard->has_tokens());
  EXPECT_EQ(code(Endpoint::kPatchQueue), kLetIn);
  const auto admin = add(Role::kAdmin);
  look();
  EXPECT_TRUE(guard->has_tokens());
  EXPECT_EQ(code(Endpoint::kPatchQueue), Code::kUnauthenticated);
  EXPECT_EQ(code(Endpoint::kPatchQueue, admin), kLetIn);
  EXPECT_EQ(code(Endpoint::kReady), kLetIn);
}

TEST_F(TokenGuardTest, RolesCount) {
  const auto worker = add(Role::kWorker);
  start();
  EXPECT_EQ(code(Endpoint::kAcquire, worker), kLetIn);
  EXPECT_EQ(code(Endpoint::kEnqueue, worker), Code::kForbidden);
  EXPECT_EQ(code(Endpoint::kAcquire, guard->own_workers_token()), kLetIn);
  EXPECT_EQ(code(Endpoint::kListTokens, guard->own_workers_token()), Code::kForbidden);
}

TEST_F(TokenGuardTest, AnUnknownTokenIsLookedForAndLooksAreShared) {
  add(Role::kAdmin);
  start();
  const auto late = add(Role::kClient);
  EXPECT_EQ(code(Endpoint::kEnqueue, late), Code::kNotFound);
  const int before = tokens.reads;
  std::promise<void> all;
  std::atomic<int> left = 500;
  for (int i = 0; i < 500; ++i) {
    guard->look_again([&] {
      if (--left == 0) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_LE(tokens.reads - before, 2);
  EXPECT_EQ(code(Endpoint::kEnqueue, late), kLetIn);
}

TEST_F(TokenGuardTest, WhatWasReadLastCountsWhileTheStoreIsAway) {
  const auto client = add(Role::kClient);
  start();
  tokens.is_away = true;
  look();
  EXPECT_EQ(code(Endpoint::kEnqueue, client), kLetIn);
  EXPECT_EQ(code(Endpoint::kEnqueue), Code::kUnauthenticated);
}

TEST_F(TokenGuardTest, AStoreThatIsAwayAtTheStartIsAnError) {
  tokens.is_away = true;
  guard = std::make_unique<TokenGuard>(&tokens, clock, TokenGuard::Options{}, Logger());
  EXPECT_FALSE(guard->start());
}

TEST_F(TokenGuardTest, RevokedAtOnceAndOnlyByItsId) {
  const auto admin = add(Role::kAdmin), client = add(Role::kClient);
  start();
  const std::string id(split_token(client)->id);
  const Caller caller{id};
  EXPECT_TRUE(guard->is_still_valid(caller));
  ASSERT_TRUE(wait<TokenRecord>([&](auto reply) { guard->revoke(id, std::move(reply)); }));
  EXPECT_EQ(code(Endpoint::kEnqueue, client), Code::kUnauthenticated);
  EXPECT_FALSE(guard->is_still_valid(caller));
  EXPECT_EQ(code(Endpoint::kEnqueue, admin), kLetIn);
  const auto again =
      wait<TokenGuard::Made>([&](auto reply) { guard->rotate(id, hours(1), std::move(reply)); });
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
}

TEST_F(TokenGuardTest, ARevocationReachesAnotherManagerOfTheStoreWithinTwoSeconds) {
  add(Role::kAdmin);
  const auto client = add(Role::kClient);
  TokenGuard other(&tokens, clock, {}, Logger());
  ASSERT_TRUE(other.start());
  start();
  const std::string id(split_token(client)->id);
  ASSERT_TRUE(other.is_still_valid({id}));
  ASSERT_TRUE(wait<TokenRecord>([&](auto reply) { guard->revoke(id, std::move(reply)); }));
  const Instant end = clock.now() + seconds(2);
  while (other.is_still_valid({id}) && clock.now() < end) std::this_thread::yield();
  EXPECT_FALSE(other.is_still_valid({id}));
  other.stop();
}

TEST_F(TokenGuardTest, ARotatedTokenHasASuccessorLikeItself) {
  auto made = make_token(Role::kWorker, "hall 7", clock.now(), clock.now() + hours(5));
  ASSERT_TRUE(tokens.add(made.second));
  start();
  const auto fresh =
      wait<TokenGuard::Made>([&](auto reply) { guard->rotate(made.second.id, hours(1), std::move(reply)); });
  ASSERT_TRUE(fresh);
  const TokenRecord& record = fresh.value().second;
  EXPECT_EQ(record.role, Role::kWorker);
  EXPECT_EQ(record.name, "hall 7");
  EXPECT_EQ(record.expires_at - record.created_at, hours(5));
  EXPECT_EQ(code(Endpoint::kAcquire, made.first), kLetIn);
  EXPECT_EQ(code(Endpoint::kAcquire, fresh.value().first), kLetIn);
  Duration left{};
  const auto all = tokens.list().value();
  for (const auto& listed : all) {
    if (listed.id == made.second.id) left = listed.expires_at - clock.now();
  }
  EXPECT_LE(left, hours(1));
  EXPECT_GT(left, minutes(59));
}

TEST_F(TokenGuardTest, TheFirstTokenIsNotMadeOverTheNetwork) {
  start();
  const auto made = wait<TokenGuard::Made>(
      [&](auto reply) { guard->create(Role::kAdmin, "", Duration::zero(), std::move(reply)); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kConflict);
  EXPECT_TRUE(tokens.list().value().empty());
}

TEST_F(TokenGuardTest, SeedClientsComeFromTheirAddressesForTheSeedsCalls) {
  add(Role::kAdmin);
  start({Network::parse("10.0.0.0/8").value()});
  EXPECT_EQ(code(Endpoint::kSeedGetWork), kLetIn);
  EXPECT_EQ(code(Endpoint::kSeedGetWork, "", "11.0.0.1"), Code::kUnauthenticated);
  EXPECT_EQ(code(Endpoint::kSeedGetWork, "nonsense"), Code::kUnauthenticated);
  EXPECT_EQ(code(Endpoint::kSeedRegisterSibling), Code::kUnauthenticated);
  EXPECT_EQ(code(Endpoint::kEnqueue), Code::kUnauthenticated);
}

}  // namespace
}  // namespace skep::manager
