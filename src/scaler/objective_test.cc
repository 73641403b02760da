// SPDX-License-Identifier: Apache-2.0
// What --queue-objective takes and refuses, each refusal with its sentence.
#include "scaler/objective.h"

#include <gtest/gtest.h>

namespace skep::scaler {
namespace {

std::string refusal(const std::string& text) {
  const auto parsed = parse_objective(text);
  return parsed ? std::string("taken") : parsed.error().message;
}

TEST(QueueObjective, IsANameAWaitAndMaybeAWeight) {
  const auto plain = parse_objective("urgent=5s");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain.value(), (QueueObjective{"urgent", seconds(5), 1}));
  const auto weighted = parse_objective("a:b=1m30s:4");
  ASSERT_TRUE(weighted);
  EXPECT_EQ(weighted.value(), (QueueObjective{"a:b", seconds(90), 4}));
}

TEST(QueueObjective, WhatIsWrongIsSaid) {
  EXPECT_EQ(refusal("urgent"),
            "queue objective 'urgent' is not NAME=WAIT or NAME=WAIT:WEIGHT, as in urgent=5s:4");
  EXPECT_EQ(refusal("urgent=0s"), "queue objective 'urgent=0s': the wait is to be above 0s");
  EXPECT_EQ(refusal("urgent=5s:0"),
            "queue objective 'urgent=5s:0': the weight is to be a whole number from 1 to 100");
  EXPECT_EQ(refusal("urgent=5s:"),
            "queue objective 'urgent=5s:': the weight is to be a whole number from 1 to 100");
  EXPECT_EQ(refusal("urgent=5s:101"),
            "queue objective 'urgent=5s:101': the weight is to be a whole number from 1 to 100");
  EXPECT_NE(refusal("=5s"), "taken");
  EXPECT_NE(refusal("a b=5s"), "taken");
  EXPECT_NE(refusal("urgent=soon"), "taken");
}

TEST(QueueObjective, AQueueHasOneAndThereAreAsManyAsMayBe) {
  const auto twice = parse_objectives({"a=5s", "b=6s", "a=7s"});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "queue 'a' has two objectives: say one --queue-objective for it");
  std::vector<std::string> many;
  for (std::size_t i = 0; i < kObjectivesMax; ++i) many.push_back("q" + std::to_string(i) + "=5s");
  EXPECT_TRUE(parse_objectives(many));
  many.emplace_back("one-more=5s");
  EXPECT_FALSE(parse_objectives(many));
}

}  // namespace
}  // namespace skep::scaler
