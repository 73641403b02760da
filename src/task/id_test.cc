// SPDX-License-Identifier: Apache-2.0
// Goal: ids and lease tokens have one text form, which sorts by age and refuses everything else.
// Method: fixed examples, and properties over random ids.
#include "task/id.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

namespace skep {
namespace {

TaskId any_id() {
  return {*rc::gen::arbitrary<ShardId>(), *rc::gen::arbitrary<Epoch>(),
          *rc::gen::arbitrary<std::uint64_t>() & kSequenceMax};
}

TEST(TaskId, HasTwentyCharacters) {
  EXPECT_EQ(TaskId{}.to_string(), "00000000000000000000");
  EXPECT_EQ((TaskId{0, 0, 31}.to_string()), "0000000000000000000z");
  EXPECT_EQ((TaskId{0xffff, 0xffffffff, kSequenceMax}.to_string()), "1zzzzzzzzzzzzzzzzzzz");
}

RC_GTEST_PROP(TaskId, ParsesWhatItPrints, ()) {
  const TaskId id = any_id();
  const auto parsed = TaskId::parse(id.to_string());
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed.value() == id);
}

RC_GTEST_PROP(TaskId, TextSortsAsTheIdDoes, ()) {
  const TaskId a = any_id();
  const TaskId b = any_id();
  RC_ASSERT((a < b) == (a.to_string() < b.to_string()));
}

RC_GTEST_PROP(TaskId, ParseNeverCrashesAndHasOneTextPerId, (const std::string& text)) {
  const auto parsed = TaskId::parse(text);
  if (parsed) {
    RC_ASSERT(parsed.value().to_string() == text);
  } else {
    RC_ASSERT(parsed.error().code == Code::kInvalid);
  }
}

TEST(TaskId, ParseRefusesWithASentence) {
  for (const char* text : {"", "0", "0000000000000000000", "000000000000000000000", "0000000000000000000l",
                           "0000000000000000000Z", "g0000000000000000000", "zzzzzzzzzzzzzzzzzzzz"}) {
    const auto parsed = TaskId::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().message.find("is not a task id"), std::string::npos);
  }
}

TEST(TaskId, HashSpreadsDenseSequences) {
  std::unordered_set<std::size_t> seen;
  for (std::uint64_t i = 0; i < 10'000; ++i) seen.insert(std::hash<TaskId>{}(TaskId{1, 1, i}));
  EXPECT_EQ(seen.size(), 10'000u);
}

RC_GTEST_PROP(LeaseToken, ParsesWhatItPrints, ()) {
  const LeaseToken token{any_id(), *rc::gen::arbitrary<Epoch>(), *rc::gen::positive<std::uint32_t>()};
  const auto parsed = LeaseToken::parse(token.to_string());
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed.value() == token);
}

RC_GTEST_PROP(LeaseToken, ParseNeverCrashes, (const std::string& tail)) {
  const auto parsed = LeaseToken::parse(TaskId{1, 2, 3}.to_string() + "." + tail);
  if (!parsed) RC_ASSERT(parsed.error().code == Code::kInvalid);
}

TEST(LeaseToken, ParseRefusesWithASentence) {
  const std::string id = TaskId{1, 2, 3}.to_string();
  for (const std::string& text :
       {std::string(), id, id + ".", id + ".1", id + ".1.", id + ".1.0", id + ".1.-1", id + ".1.1.1",
        id + ". 1.1", id + ".4294967296.1", id + ".1.4294967296", std::string("x.1.1"), std::string("..")}) {
    const auto parsed = LeaseToken::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalid) << text;
  }
}

}  // namespace
}  // namespace skep
