// SPDX-License-Identifier: Apache-2.0
// Goal: every engine keeps every sentence of token_store.h.
// Method: one test a sentence, run for each engine of engines.h; two token stores on one place are two
// managers.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engines.h"
#include "store/log_store.h"
#include "store/token_list.h"
#include "store/token_store.h"
#include "store/verify.h"

namespace skep::contract {
namespace {

using store::TokenEnd;

constexpr Instant kNow{hours(1'000'000)};

TokenRecord token(Role role = Role::kClient, Instant expires_at = kNever, Instant now = kNow) {
  return make_token(role, "name with blanks", now, expires_at).second;
}

class TokenContract : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (!GetParam().why_not.empty()) GTEST_SKIP() << GetParam().why_not;
    tokens_ = open();
  }
  std::unique_ptr<store::TokenStore> open() {
    auto opened = engine_->open_tokens();
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(opened.value());
  }
  std::vector<TokenRecord> all(store::TokenStore& tokens) {
    auto listed = tokens.list();
    EXPECT_TRUE(listed) << listed.error().message;
    return listed ? listed.value() : std::vector<TokenRecord>();
  }

  std::unique_ptr<Engine> engine_ = GetParam().why_not.empty() ? GetParam().make() : nullptr;
  std::unique_ptr<store::TokenStore> tokens_;
};

TEST_P(TokenContract, IsEmptyAtFirst) {
  EXPECT_TRUE(all(*tokens_).empty());
}

TEST_P(TokenContract, GivesBackWhatWasAddedByAge) {
  std::vector<TokenRecord> records;
  for (const Role role : kAllRoles) {
    records.push_back(token(role, role == Role::kWorker ? kNow + hours(5) : kNever,
                            kNow + minutes(static_cast<int>(role))));
  }
  for (const int i : {2, 0, 4, 3, 1}) ASSERT_TRUE(tokens_->add(records[static_cast<std::size_t>(i)]));
  EXPECT_EQ(all(*tokens_), records);
}

TEST_P(TokenContract, AnotherManagerSeesWhatIsAddedAndEnded) {
  if (GetParam().name == "memory") GTEST_SKIP() << "one process";
  const auto other = open();
  const auto record = token();
  ASSERT_TRUE(tokens_->add(record));
  EXPECT_EQ(all(*other), std::vector{record});
  ASSERT_TRUE(other->end(record.id, kNow + minutes(1), TokenEnd::kRevoked));
  const auto seen = all(*tokens_);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].is_revoked);
  EXPECT_FALSE(seen[0].is_valid(kNow + minutes(1)));
}

TEST_P(TokenContract, OutlivesThePower) {
  if (GetParam().name == "memory") GTEST_SKIP() << "keeps nothing";
  auto opened = engine_->open(1);
  ASSERT_TRUE(opened) << opened.error().message;
  const auto record = token();
  ASSERT_TRUE(tokens_->add(record));
  Random random(1);
  engine_->power_off();
  opened.value().reset();
  tokens_.reset();
  engine_->power_on(random);
  tokens_ = open();
  EXPECT_EQ(all(*tokens_), std::vector{record});
}

TEST_P(TokenContract, StandsBesideAnOpenStoreAndBeforeOneIsMade) {
  const auto record = token();
  ASSERT_TRUE(tokens_->add(record));
  auto opened = engine_->open(1);
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE(opened.value()->claim(0));
  const auto second = token();
  ASSERT_TRUE(tokens_->add(second));
  ASSERT_TRUE(opened.value()->close());
  opened.value().reset();
  opened = engine_->open(1);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(all(*tokens_).size(), 2u);
}

TEST_P(TokenContract, OneIdIsOneToken) {
  const auto record = token();
  ASSERT_TRUE(tokens_->add(record));
  auto again = token(Role::kAdmin);
  again.id = record.id;
  const auto added = tokens_->add(again);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kConflict);
  EXPECT_EQ(all(*tokens_), std::vector{record});
}

TEST_P(TokenContract, AnEndIsNeverPutOff) {
  const auto record = token(Role::kWorker, kNow + hours(3));
  ASSERT_TRUE(tokens_->add(record));
  const auto end = [&](Instant at, TokenEnd how) {
    auto ended = tokens_->end(record.id, at, how);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended.value();
  };
  EXPECT_EQ(end(kNow + hours(4), TokenEnd::kRotated).expires_at, kNow + hours(3));
  EXPECT_EQ(end(kNever, TokenEnd::kRotated).expires_at, kNow + hours(3));
  EXPECT_EQ(end(kNow + hours(2), TokenEnd::kRotated).expires_at, kNow + hours(2));
  EXPECT_FALSE(all(*tokens_)[0].is_revoked);
  EXPECT_EQ(end(kNow + hours(1), TokenEnd::kRevoked).expires_at, kNow + hours(1));
  const auto last = end(kNow + hours(2), TokenEnd::kRotated);
  EXPECT_EQ(last.expires_at, kNow + hours(1));
  EXPECT_TRUE(last.is_revoked) << "a later rotation does not take the revocation back";
  EXPECT_EQ(all(*tokens_), std::vector{last});
  EXPECT_EQ(last.hash, record.hash);
}

TEST_P(TokenContract, OneThatNeverEndsCanBeEnded) {
  const auto record = token();
  ASSERT_TRUE(tokens_->add(record));
  EXPECT_EQ(tokens_->end(record.id, kNow, TokenEnd::kRevoked).value().expires_at, kNow);
}

TEST_P(TokenContract, WhatIsNotThereCanNotBeEnded) {
  const auto ended = tokens_->end("0123456789ab", kNow, TokenEnd::kRevoked);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kNotFound);
}

TEST_P(TokenContract, ForgetsWhatEndedLongAgoWhenAnotherIsAdded) {
  const auto old = token(Role::kClient, kNow + hours(1));
  const auto forever = token();
  ASSERT_TRUE(tokens_->add(old));
  ASSERT_TRUE(tokens_->add(forever));
  const Instant later = kNow + hours(1) + store::kTokenMemory;
  ASSERT_TRUE(tokens_->add(token(Role::kClient, kNever, later)));
  EXPECT_EQ(all(*tokens_).size(), 3u);
  ASSERT_TRUE(tokens_->add(token(Role::kClient, kNever, later + milliseconds(1))));
  EXPECT_EQ(all(*tokens_).size(), 3u);
  EXPECT_EQ(all(*tokens_)[0], forever);
}

TEST_P(TokenContract, ChangesOfSeveralAtOnceAreAllThere) {
  if (GetParam().name == "memory") GTEST_SKIP() << "one process";
  constexpr int kThreads = 4, kEach = 8;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([own = open()] {
      for (int n = 0; n < kEach; ++n) EXPECT_TRUE(own->add(token()));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(all(*tokens_).size(), static_cast<std::size_t>(kThreads * kEach));
}

INSTANTIATE_TEST_SUITE_P(Engines, TokenContract, ::testing::ValuesIn(all_engines()),
                         [](const auto& kind) { return kind.param.name; });

// ---- the file of the embedded engines ----

class TokenFile : public ::testing::Test {
 protected:
  const std::string directory_ = TemporaryDirectory().path() + "-store";
  ~TokenFile() override {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }
  std::string path() const { return directory_ + "/skep.tokens"; }
  std::unique_ptr<store::TokenStore> tokens_ = store::open_directory_tokens(directory_);
};

TEST_F(TokenFile, IsItsOwnersAlone) {
  ASSERT_TRUE(tokens_->add(token()));
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(TokenFile, ReadingMakesNothing) {
  ASSERT_TRUE(tokens_->list());
  EXPECT_FALSE(std::filesystem::exists(directory_));
}

TEST_F(TokenFile, AFlippedByteIsReportedWithItsPlace) {
  ASSERT_TRUE(tokens_->add(token()));
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(30);
  file.put('~');
  file.close();
  const auto listed = tokens_->list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Code::kCorrupt);
  EXPECT_NE(listed.error().message.find(path()), std::string::npos);
  EXPECT_FALSE(tokens_->add(token())) << "and is not written over";
}

TEST_F(TokenFile, VerifyLooksAtItToo) {
  store::LogOptions options;
  options.directory = directory_;
  options.segment_bytes = 1 << 16;
  auto made = store::open_log(options, Logger());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(tokens_->add(token()));
  ASSERT_TRUE(made.value()->close());
  made.value().reset();
  store::VerifyOptions verify;
  verify.directory = directory_;
  auto report = store::verify_store(verify);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report.value().is_clean());
  std::ofstream(path(), std::ios::app) << "more";
  report = store::verify_store(verify);
  ASSERT_TRUE(report);
  ASSERT_EQ(report.value().findings.size(), 1u);
  EXPECT_NE(report.value().findings[0].to_string().find("skep.tokens"), std::string::npos);
}

TEST_F(TokenFile, IsNotMadeAmongSomethingElsesFiles) {
  std::filesystem::create_directory(directory_);
  std::ofstream(directory_ + "/letter.txt") << "dear";
  const auto added = tokens_->add(token());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kInvalid);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST(TokenText, OfANewerProgramIsRefused) {
  EXPECT_EQ(store::parse_tokens("skep tokens 2\n").error().code, Code::kInvalid);
  EXPECT_EQ(store::parse_tokens("").error().code, Code::kCorrupt);
  EXPECT_EQ(store::parse_tokens("skep tokens 1\nabc client x\n").error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace skep::contract
