// SPDX-License-Identifier: Apache-2.0
// Goal: a manager knows whose an id is, whom it may ask, and what to tell an operator. Method: stories.
#include "manager/sibling_book.h"

#include <gtest/gtest.h>

#include "api/protocol.h"

namespace skep::manager {
namespace {

constexpr Instant kNow = kNoInstant + seconds(1'000'000);

SiblingBook::Said said(StoreNumber number, std::int64_t started_at_ms, std::uint64_t queued,
                       std::uint64_t oldest_ms, std::uint32_t workers) {
  return {number, started_at_ms, queued, oldest_ms, workers, api::kProtocol, "1.0"};
}

SiblingBook book_with(std::vector<std::string> addresses) {
  SiblingBook book = SiblingBook::of_own_store(said(7, 100, 0, 0, 0));
  book.keep(addresses, kNow);
  return book;
}

TEST(SiblingBook, ANumberTellsWhoseItIs) {
  auto book = book_with({"a:1", "b:1"});
  EXPECT_TRUE(book.has_unheard());
  EXPECT_EQ(book.owner_of(8), nullptr);
  book.note_heard("a:1", said(8, 200, 0, 0, 0), kNow);
  book.note_heard("b:1", said(9, 300, 0, 0, 0), kNow);
  EXPECT_FALSE(book.has_unheard());
  EXPECT_EQ(*book.owner_of(8), "a:1");
  EXPECT_EQ(*book.owner_of(9), "b:1");
  book.note_silent("a:1", "away");
  EXPECT_EQ(*book.owner_of(8), "a:1") << "it will be back";
  book.note_heard("a:1", said(0, 201, 0, 0, 0), kNow);
  EXPECT_EQ(*book.owner_of(8), "a:1") << "it loads its store";
  book.note_heard("a:1", said(10, 202, 0, 0, 0), kNow);
  EXPECT_EQ(book.owner_of(8), nullptr) << "it has another store";
  EXPECT_EQ(*book.owner_of(10), "a:1");
  book.keep({"b:1"}, kNow);
  EXPECT_EQ(book.owner_of(10), nullptr);
  EXPECT_EQ(*book.owner_of(9), "b:1") << "what is known stays";
}

TEST(SiblingBook, AnotherNameOfAManagerIsNotAskedToo) {
  auto book = book_with({"a:1", "alias:1", "self:1"});
  book.note_heard("a:1", said(8, 200, 5, 10, 0), kNow);
  book.note_heard("alias:1", said(8, 200, 5, 90, 0), kNow);
  book.note_heard("self:1", said(7, 100, 5, 99, 0), kNow);
  EXPECT_TRUE(book.may_be_asked("a:1"));
  EXPECT_FALSE(book.may_be_asked("alias:1"));
  EXPECT_FALSE(book.may_be_asked("self:1"));
  EXPECT_EQ(*book.longest_backlog(""), "a:1");
  EXPECT_EQ(book.problem(kNow), "");
}

TEST(SiblingBook, WhoCanNotBeToldApartIsLeftOutAndNamed) {
  auto book = book_with({"a:1", "b:1", "old:1"});
  book.note_heard("a:1", said(7, 200, 5, 10, 0), kNow);
  book.note_heard("b:1", said(9, 300, 0, 0, 0), kNow);
  book.note_heard("old:1", said(0, 400, 5, 10, 0), kNow);
  EXPECT_FALSE(book.may_be_asked("a:1"));
  EXPECT_TRUE(book.may_be_asked("b:1"));
  EXPECT_FALSE(book.may_be_asked("old:1"));
  EXPECT_EQ(book.longest_backlog(""), nullptr);
  EXPECT_NE(book.problem(kNow).find("sibling a:1"), std::string::npos);
  EXPECT_EQ(book.problem(kNow).find("b:1"), std::string::npos);
  EXPECT_NE(book.problem(kNow).find("old:1"), std::string::npos);
}

TEST(SiblingBook, TheLongestWaitIsHelpedFirst) {
  auto book = book_with({"a:1", "b:1", "c:1"});
  EXPECT_EQ(book.longest_backlog(""), nullptr);
  book.note_heard("a:1", said(8, 1, 5, 10, 0), kNow);
  book.note_heard("b:1", said(9, 1, 2, 20, 0), kNow);
  book.note_heard("c:1", said(10, 1, 0, 0, 0), kNow);
  EXPECT_EQ(*book.longest_backlog(""), "b:1");
  book.note_leased("b:1", 1);
  EXPECT_EQ(*book.longest_backlog(""), "b:1");
  book.note_leased("b:1", 7);
  EXPECT_EQ(*book.longest_backlog(""), "a:1");
  book.note_nothing_there("a:1", "");
  EXPECT_EQ(book.longest_backlog(""), nullptr);
  book.note_heard("a:1", said(8, 1, 5, 10, 0), kNow);
  book.note_silent("a:1", "away");
  EXPECT_EQ(book.longest_backlog(""), nullptr);
}

// A worker asks for hashes and for commands by turns: what has none of the one may have the other.
TEST(SiblingBook, OneThatHasNothingOfAKindIsAskedForAnother) {
  auto book = book_with({"a:1"});
  book.note_heard("a:1", said(8, 200, 1, 500, 0), kNow);
  book.note_nothing_there("a:1", "sha512");
  EXPECT_EQ(book.longest_backlog("sha512"), nullptr);
  ASSERT_NE(book.longest_backlog("command program"), nullptr);
  EXPECT_EQ(*book.longest_backlog("command program"), "a:1");
  book.note_heard("a:1", said(8, 200, 1, 500, 0), kNow + seconds(1));
  EXPECT_NE(book.longest_backlog("sha512"), nullptr) << "by now there may be some";
}

TEST(SiblingBook, SilenceCountsFromWhenItWasHeardLast) {
  auto book = book_with({"a:1"});
  EXPECT_EQ(book.silence("a:1", kNow + seconds(5)), std::nullopt) << "nobody asked it";
  book.note_silent("a:1", "no connection");
  EXPECT_EQ(book.silence("a:1", kNow + seconds(5)), seconds(5));
  EXPECT_NE(book.problem(kNow + seconds(5)).find("no connection"), std::string::npos);
  EXPECT_TRUE(book.silent_for(seconds(6), kNow + seconds(5)).empty());
  EXPECT_EQ(book.silent_for(seconds(4), kNow + seconds(5)), std::vector<std::string>{"a:1"});
  book.note_heard("a:1", said(8, 1, 0, 0, 0), kNow + seconds(6));
  EXPECT_EQ(book.silence("a:1", kNow + seconds(9)), std::nullopt);
  EXPECT_EQ(book.silence("b:1", kNow), std::nullopt);
}

TEST(SiblingBook, OneThatHasJustComeIsNotSteady) {
  auto book = book_with({"a:1", "b:1"});
  book.note_heard("a:1", said(8, 1, 0, 0, 3), kNow);
  EXPECT_TRUE(book.steady(seconds(2), kNow + seconds(1)).empty());
  book.note_heard("a:1", said(8, 1, 0, 0, 4), kNow + seconds(2));
  const auto steady = book.steady(seconds(2), kNow + seconds(2));
  ASSERT_EQ(steady.size(), 1u);
  EXPECT_EQ(steady[0].workers, 4u);
  book.note_silent("a:1", "away");
  EXPECT_TRUE(book.steady(seconds(2), kNow + seconds(9)).empty());
  book.note_heard("a:1", said(8, 1, 0, 0, 0), kNow + seconds(10));
  EXPECT_TRUE(book.steady(seconds(2), kNow + seconds(11)).empty()) << "it begins anew";
}

TEST(SiblingBook, OneOfAnotherVersionIsNamedAndWhatItCanIsKnown) {
  SiblingBook book = SiblingBook::of_shared_store();
  book.keep({"a:1", "b:1"}, kNow);
  EXPECT_EQ(book.protocol_of("a:1"), 0u);
  auto older = said(0, 1, 0, 0, 0);
  older.protocol = 0;
  older.version = "0.0.9";
  book.note_heard("a:1", older, kNow);
  book.note_heard("b:1", said(0, 1, 0, 0, 0), kNow);
  EXPECT_EQ(book.protocol_of("a:1"), 0u);
  EXPECT_EQ(book.protocol_of("b:1"), api::kProtocol);
  EXPECT_NE(book.problem(kNow).find("sibling a:1 is of another version (0.0.9"), std::string::npos);
  EXPECT_EQ(book.problem(kNow).find("b:1"), std::string::npos);
}

TEST(SiblingBook, ManagersOfOneStoreNeedNoNumbers) {
  SiblingBook book = SiblingBook::of_shared_store();
  book.keep({"a:1", "b:1"}, kNow);
  book.note_heard("a:1", said(0, 1, 1, 1, 0), kNow);
  book.note_heard("b:1", said(0, 1, 1, 2, 0), kNow);
  EXPECT_TRUE(book.may_be_asked("a:1"));
  EXPECT_EQ(*book.longest_backlog(""), "b:1");
  EXPECT_EQ(book.problem(kNow), "");
}

}  // namespace
}  // namespace skep::manager
