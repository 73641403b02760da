// SPDX-License-Identifier: Apache-2.0
// Goal: decisions are told with what they rested on, in words and so that they can be made again, and are
// bounded. Method: verdicts over every input that matters go in; what is told is read back and judged again.
#include "manager/decision_log.h"

#include <gtest/gtest.h>

#include <map>

namespace skep::manager {
namespace {

namespace v1 = api::v1;

constexpr Instant kStart = Instant(hours(500'000));

queue::TaskDecision decision_of(const queue::VerdictInput& input, std::uint64_t sequence = 1) {
  return {TaskId{0, 1, sequence}, input, queue::judge(input), 2, "w7", "it broke", kStart + seconds(30)};
}

// What is told, as the input that it was.
queue::VerdictInput read_back(const v1::Decision& told) {
  std::map<std::string, std::string> values;
  for (const auto& input : told.inputs()) values[input.name()] = input.value();
  queue::VerdictInput input;
  input.is_too_late = values["is_too_late"] == "true";
  if (input.is_too_late) return input;
  for (int end = 1; end <= 5; ++end) {
    if (attempt_end_name(static_cast<AttemptEnd>(end)) == values.at("end"))
      input.end = static_cast<AttemptEnd>(end);
  }
  input.is_permanent = values.at("is_permanent") == "true";
  input.has_begun = values.at("has_begun") == "true";
  input.has_advanced = values.at("has_advanced") == "true";
  const auto number = [&](const char* name) {
    return static_cast<std::uint32_t>(std::stoul(values.at(name)));
  };
  input.attempts_failed = number("attempts_failed");
  input.attempts_max = number("attempts_max");
  input.workers_lost = number("workers_lost");
  return input;
}

TEST(DecisionLog, WhatIsToldIsEnoughToDecideAgain) {
  int told_count = 0;
  for (int bits = 0; bits < 16; ++bits) {
    for (int end = 1; end <= 5; ++end) {
      for (std::uint32_t count = 0; count <= 5; ++count) {
        queue::VerdictInput input;
        input.is_permanent = (bits & 1) != 0;
        input.has_begun = (bits & 2) != 0;
        input.has_advanced = (bits & 4) != 0;
        input.is_too_late = (bits & 8) != 0;
        input.end = static_cast<AttemptEnd>(end);
        input.attempts_failed = count;
        input.attempts_max = 3;
        input.workers_lost = count;
        v1::Decision told;
        to_message(kStart, decision_of(input), told);
        const queue::Ruling again = queue::judge(read_back(told));
        EXPECT_EQ(queue::verdict_name(again.verdict), told.kind()) << told.ShortDebugString();
        EXPECT_EQ(queue::rule_name(again.rule), told.rule()) << told.ShortDebugString();
        EXPECT_TRUE(told.outcome().ends_with('.')) << told.outcome();
        ++told_count;
      }
    }
  }
  EXPECT_EQ(told_count, 16 * 5 * 6);
}

TEST(DecisionLog, TellsInSentences) {
  queue::VerdictInput input;
  input.attempts_failed = 2;
  input.attempts_max = 5;
  const auto words = [&] {
    v1::Decision told;
    to_message(kStart, decision_of(input), told);
    return told.outcome();
  };
  EXPECT_EQ(words(),
            "Attempt 2 on worker w7 failed (it broke): that is 2 of 5 attempts, so it is tried again from " +
                format_instant(kStart + seconds(30)) + " on.");
  input.end = AttemptEnd::kWorkerLost;
  input.workers_lost = 2;
  EXPECT_EQ(
      words(),
      "Attempt 2 on worker w7 was lost with its worker (it broke): that is 2 of 5 losses, so it is queued "
      "again, and given alone to a worker that holds nothing else.");
  input.workers_lost = 5;
  EXPECT_EQ(
      words(),
      "Attempt 2 on worker w7 was lost with its worker (it broke): that is 5 of 5 losses, it may be what "
      "kills workers, so it is parked as dead until somebody retries it.");
  input.has_begun = false;
  EXPECT_EQ(
      words(),
      "Attempt 2 on worker w7 was lost with its worker (it broke): it had not begun, which costs nothing, "
      "and it is queued again at once, at its old place.");
}

TEST(DecisionLog, KeepsTheNewestAndNoMore) {
  DecisionLog log(3);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    log.add(kStart + seconds(static_cast<std::int64_t>(i)), decision_of({}, i));
    log.add_of_worker(kStart + seconds(static_cast<std::int64_t>(i)) + milliseconds(1),
                      "w" + std::to_string(i), "lose", "silence", {{"silence", "6s"}}, "It was silent.");
  }
  v1::DecisionsReply all;
  log.fill({}, all);
  ASSERT_EQ(all.decisions_size(), 6);
  EXPECT_EQ(all.decisions(0).subject(), "w10");
  EXPECT_EQ(all.decisions(0).inputs(0).value(), "6s");
  EXPECT_EQ(all.decisions(5).subject(), (TaskId{0, 1, 8}).to_string());
}

TEST(DecisionLog, IsAskedByTaskByWorkerAndByTime) {
  DecisionLog log(10);
  for (std::uint64_t i = 1; i <= 5; ++i)
    log.add(kStart + seconds(static_cast<std::int64_t>(i)), decision_of({}, i % 2));
  log.add_of_worker(kStart + seconds(9), "w7", "drain", "asked", {}, "It is asked to drain.");
  log.add_of_worker(kStart + seconds(9), "w8", "drain", "asked", {}, "It is asked to drain.");
  const auto count = [&](const DecisionQuery& query) {
    v1::DecisionsReply found;
    log.fill(query, found);
    return found.decisions_size();
  };
  EXPECT_EQ(count({}), 7);
  EXPECT_EQ(count({(TaskId{0, 1, 1}).to_string(), "", kNever, 100}), 3);
  EXPECT_EQ(count({(TaskId{0, 1, 1}).to_string(), "", kStart + seconds(3), 100}), 2);
  EXPECT_EQ(count({"", "w7", kNever, 100}), 6) << "its own, and those of tasks that it had";
  EXPECT_EQ(count({"", "w8", kNever, 100}), 1);
  EXPECT_EQ(count({"", "", kNever, 2}), 2);
}

}  // namespace
}  // namespace skep::manager
