// SPDX-License-Identifier: Apache-2.0
// Which managers a worker knows: the operator's always and first, those it was told of only as long as it is.
#include "worker/manager_book.h"

#include <gtest/gtest.h>

#include <map>

namespace skep::worker {
namespace {

std::vector<std::string> names(const ManagerBook& book) {
  std::vector<std::string> out;
  for (const auto& url : book.urls()) out.push_back(url.host_port());
  return out;
}

ManagerBook book(const std::vector<std::string>& urls) {
  auto made = ManagerBook::make(urls);
  EXPECT_TRUE(made.has_value());
  return std::move(made).value();
}

using Names = std::vector<std::string>;

TEST(ManagerBook, OperatorsManagersComeInOrderEachOnce) {
  EXPECT_EQ(names(book({"http://a:1,b:2", "http://a:1/prefix", "c"})), (Names{"a:1", "b:2", "c:80"}));
}

TEST(ManagerBook, TheOperatorsOwnAreToldFromThoseItWasToldOfAndWorkersBeginAtEachAlike) {
  std::map<std::string, int> first;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    ManagerBook known = book({"a:1,b:2,c:3"});
    EXPECT_TRUE(known.learn({"d:4"}));
    Random random(seed);
    known.shuffle(random);
    ++first[names(known).front()];
    EXPECT_EQ(names(known).back(), "d:4");
    EXPECT_EQ(known.own_count(), 3u);
    for (const std::string own : {"a:1", "b:2", "c:3"}) EXPECT_TRUE(known.is_own(own));
    EXPECT_FALSE(known.is_own("d:4"));
    EXPECT_FALSE(known.is_own(""));
    EXPECT_EQ(known.find("d:4").host, "d");
  }
  EXPECT_EQ(first.size(), 3u);
  for (const auto& [name, count] : first) EXPECT_GT(count, 60) << name;
}

TEST(ManagerBook, NoneAndNonsenseAreRefused) {
  EXPECT_EQ(ManagerBook::make({}).error().code, Code::kInvalid);
  EXPECT_EQ(ManagerBook::make({"ftp://a"}).error().code, Code::kInvalid);
  EXPECT_EQ(ManagerBook::make({"a:1", ""}).error().code, Code::kInvalid);
}

TEST(ManagerBook, LearnsBehindTheOperatorsOwn) {
  ManagerBook known = book({"a:1"});
  EXPECT_FALSE(known.learn({}));
  EXPECT_FALSE(known.learn({"a:1"}));
  EXPECT_TRUE(known.learn({"b:2", "a:1", "c:3", "b:2"}));
  EXPECT_EQ(names(known), (Names{"a:1", "b:2", "c:3"}));
}

TEST(ManagerBook, SameListInAnotherOrderIsNoChange) {
  ManagerBook known = book({"a:1"});
  known.learn({"b:2", "c:3"});
  EXPECT_FALSE(known.learn({"c:3", "b:2"}));
  EXPECT_EQ(names(known), (Names{"a:1", "b:2", "c:3"}));
}

TEST(ManagerBook, WhatIsNotToldAnyMoreIsForgottenButNotTheOperators) {
  ManagerBook known = book({"a:1", "b:2"});
  known.learn({"c:3", "d:4"});
  EXPECT_TRUE(known.learn({"d:4"}));
  EXPECT_EQ(names(known), (Names{"a:1", "b:2", "d:4"}));
  EXPECT_TRUE(known.learn({}));
  EXPECT_EQ(names(known), (Names{"a:1", "b:2"}));
}

TEST(ManagerBook, WhatIsLearntIsReachedAsTheOperatorsOwn) {
  ManagerBook known = book({"https://a:1"});
  known.learn({"b:2", "http://c:3"});
  ASSERT_EQ(known.urls().size(), 3u);
  for (const auto& url : known.urls()) EXPECT_TRUE(url.is_tls) << url.host;
  ManagerBook plain = book({"a:1"});
  plain.learn({"https://b:2"});
  EXPECT_FALSE(plain.urls()[1].is_tls);
}

TEST(ManagerBook, WhatNobodyCanParseIsPassedOver) {
  ManagerBook known = book({"a:1"});
  EXPECT_FALSE(known.learn({"", "ftp://x", "b:2,c:3", "b:99999", "b:x"}));
  EXPECT_EQ(names(known), (Names{"a:1"}));
}

TEST(ManagerBook, AnswerCanNotMakeItGrowWithoutEnd) {
  ManagerBook known = book({"a:1"});
  Names many;
  for (int i = 0; i < 1'000; ++i) many.push_back("m" + std::to_string(i) + ":1");
  EXPECT_TRUE(known.learn(many));
  EXPECT_EQ(known.urls().size(), ManagerBook::kManagersMax);
  // As many as the operator names are all kept.
  EXPECT_EQ(book(many).urls().size(), many.size());
}

}  // namespace
}  // namespace skep::worker
