// SPDX-License-Identifier: Apache-2.0
// Goal: a token is accepted by its record and by no other, and the record does not give it away.
#include "task/access_token.h"

#include <gtest/gtest.h>

#include "task/token_import.h"

namespace skep {
namespace {

constexpr Instant kNow{hours(1'000'000)};

TEST(AccessToken, RolesHaveNamesThatComeBack) {
  for (const Role role : kAllRoles) EXPECT_EQ(parse_role(role_name(role)), role);
  EXPECT_EQ(parse_role("root"), std::nullopt);
  EXPECT_EQ(parse_role(""), std::nullopt);
}

TEST(AccessToken, IsTheSecretOfItsOwnRecordOnly) {
  const auto [token, record] = make_token(Role::kWorker, "bees", kNow, kNever);
  const auto [other_token, other_record] = make_token(Role::kWorker, "bees", kNow, kNever);
  const auto parts = split_token(token);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->id, record.id);
  EXPECT_TRUE(is_secret_of(record, parts->secret));
  EXPECT_FALSE(is_secret_of(other_record, parts->secret));
  EXPECT_FALSE(is_secret_of(record, split_token(other_token)->secret));
  EXPECT_FALSE(is_secret_of(record, parts->secret.substr(1)));
  EXPECT_NE(token, other_token);
  EXPECT_NE(record.salt, other_record.salt);
  // The same secret under another salt is another hash.
  TokenRecord moved = record;
  moved.salt = other_record.salt;
  EXPECT_FALSE(is_secret_of(moved, parts->secret));
}

TEST(AccessToken, IsAcceptedByARecordThatWasMadeOfIt) {
  const auto [token, first] = make_token(Role::kClient, "", kNow, kNever);
  const auto record = record_of(token, Role::kClient, "imported", kNow);
  ASSERT_TRUE(record);
  EXPECT_EQ(record.value().id, first.id);
  EXPECT_TRUE(is_secret_of(record.value(), split_token(token)->secret));
  EXPECT_NE(record.value().salt, first.salt);
  EXPECT_EQ(record.value().expires_at, kNever);
  EXPECT_EQ(record_of(token + "0", Role::kClient, "", kNow).error().code, Code::kInvalid);
}

TEST(AccessToken, TheRecordHoldsNothingOfTheSecret) {
  const auto [token, record] = make_token(Role::kAdmin, "", kNow, kNever);
  const std::string secret(split_token(token)->secret);
  for (const auto& text : {record.id, record.name, record.salt, record.hash}) {
    EXPECT_EQ(text.find(secret), std::string::npos);
  }
}

TEST(AccessToken, IsValidUntilItExpires) {
  const auto record = make_token(Role::kClient, "", kNow, kNow + minutes(1)).second;
  EXPECT_TRUE(record.is_valid(kNow));
  EXPECT_TRUE(record.is_valid(kNow + minutes(1) - milliseconds(1)));
  EXPECT_FALSE(record.is_valid(kNow + minutes(1)));
  EXPECT_TRUE(make_token(Role::kClient, "", kNow, kNever).second.is_valid(kNow + hours(24 * 365 * 100)));
}

TEST(AccessToken, WhatHasNotItsFormIsNone) {
  const std::string token = make_token(Role::kClient, "", kNow, kNever).first;
  std::string capital = token, shifted = token;
  capital.back() = 'A';
  shifted[17] = '-';
  for (const auto& bad : {std::string(), std::string("skep_"), token.substr(1), token + "0", capital, shifted,
                          std::string(token.size(), '0')}) {
    EXPECT_FALSE(split_token(bad).has_value()) << bad;
  }
}

TEST(AccessToken, NamesArePrintableAndShort) {
  EXPECT_TRUE(check_token_name(""));
  EXPECT_TRUE(check_token_name("the bees of hall 7"));
  EXPECT_TRUE(check_token_name(std::string(64, 'x')));
  for (const auto& bad :
       {std::string(65, 'x'), std::string("a\nb"), std::string("\xc3\xa9"), std::string(1, '\0')}) {
    const auto checked = check_token_name(bad);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Code::kInvalid);
  }
}

}  // namespace
}  // namespace skep
