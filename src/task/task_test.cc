// SPDX-License-Identifier: Apache-2.0
// Goal: the table of moves is the documented one, and a spec outside its bounds is refused with the field's
// name. Method: the table is written down once more here and compared move by move; bounds are tried on both
// sides.
#include "task/task.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

namespace skep {
namespace {

using S = TaskState;
using E = TaskEvent;

constexpr S kStates[] = {S::kDelayed, S::kQueued, S::kLeased, S::kDone, S::kDead, S::kCancelled};
constexpr E kEvents[] = {E::kDelayPassed, E::kLease,  E::kBackOff, E::kHandBack,
                         E::kComplete,    E::kGiveUp, E::kCancel,  E::kRetryByHand};

const std::map<std::pair<S, E>, S> kMoves{
    {{S::kDelayed, E::kDelayPassed}, S::kQueued}, {{S::kDelayed, E::kComplete}, S::kDone},
    {{S::kDelayed, E::kGiveUp}, S::kDead},        {{S::kDelayed, E::kCancel}, S::kCancelled},
    {{S::kQueued, E::kLease}, S::kLeased},        {{S::kQueued, E::kComplete}, S::kDone},
    {{S::kQueued, E::kGiveUp}, S::kDead},         {{S::kQueued, E::kCancel}, S::kCancelled},
    {{S::kLeased, E::kBackOff}, S::kDelayed},     {{S::kLeased, E::kHandBack}, S::kQueued},
    {{S::kLeased, E::kComplete}, S::kDone},       {{S::kLeased, E::kGiveUp}, S::kDead},
    {{S::kLeased, E::kCancel}, S::kCancelled},    {{S::kDead, E::kRetryByHand}, S::kQueued},
};

TEST(TaskState, MovesAreThoseOfTheTable) {
  std::size_t moves = 0;
  for (const S state : kStates) {
    for (const E event : kEvents) {
      const auto next = next_state(state, event);
      const auto expected = kMoves.find({state, event});
      if (expected == kMoves.end()) {
        EXPECT_FALSE(next) << state_name(state) << " takes no " << event_name(event);
      } else {
        ASSERT_TRUE(next) << state_name(state) << " takes " << event_name(event);
        EXPECT_EQ(*next, expected->second) << state_name(state) << " + " << event_name(event);
        ++moves;
      }
    }
  }
  EXPECT_EQ(moves, kMoves.size());
}

TEST(TaskState, AFinishedTaskMovesOnlyByHandAndOnlyWhenDead) {
  for (const S state : kStates) {
    if (!is_terminal(state)) continue;
    for (const E event : kEvents) {
      EXPECT_EQ(next_state(state, event).has_value(), state == S::kDead && event == E::kRetryByHand);
    }
  }
}

TEST(TaskState, NamesReadBack) {
  for (const S state : kStates) EXPECT_EQ(parse_state(state_name(state)), state);
  EXPECT_EQ(parse_state("running"), std::nullopt);
  EXPECT_EQ(parse_state(""), std::nullopt);
  EXPECT_EQ(state_name(static_cast<S>(0)), "unknown");
  for (const E event : kEvents) EXPECT_NE(event_name(event), "unknown");
  EXPECT_EQ(event_name(static_cast<E>(99)), "unknown");
}

TEST(TaskState, StoredNumbersDoNotChange) {
  EXPECT_EQ(static_cast<int>(S::kDelayed), 1);
  EXPECT_EQ(static_cast<int>(S::kQueued), 2);
  EXPECT_EQ(static_cast<int>(S::kLeased), 3);
  EXPECT_EQ(static_cast<int>(S::kDone), 4);
  EXPECT_EQ(static_cast<int>(S::kDead), 5);
  EXPECT_EQ(static_cast<int>(S::kCancelled), 6);
  EXPECT_EQ(static_cast<int>(AttemptEnd::kFailed), 1);
  EXPECT_EQ(static_cast<int>(AttemptEnd::kReleased), 5);
  for (int end = 1; end <= 5; ++end) EXPECT_NE(attempt_end_name(static_cast<AttemptEnd>(end)), "unknown");
  EXPECT_EQ(attempt_end_name(static_cast<AttemptEnd>(0)), "unknown");
}

TaskSpec sha512_spec() {
  TaskSpec spec;
  spec.iterations = 1;
  return spec;
}

TEST(TaskSpec, BoundsAreAllowed) {
  EXPECT_TRUE(validate(sha512_spec()));
  TaskSpec spec = sha512_spec();
  spec.queue = std::string(limits::kNameBytesMax, 'q');
  spec.iterations = limits::kIterationsMax;
  spec.priority = limits::kPriorityMax;
  spec.attempts_max = limits::kAttemptsMaxMax;
  spec.delay = limits::kDelayMax;
  spec.start_deadline = limits::kDelayMax;
  spec.run_timeout = limits::kRunTimeoutMax;
  spec.idempotency_key = std::string(limits::kIdempotencyKeyBytesMax, 'k');
  spec.tags.assign(limits::kTagsMax, "tag");
  EXPECT_TRUE(validate(spec));
  TaskSpec command;
  command.kind = "command";
  command.program = "resize";
  EXPECT_TRUE(validate(command));
}

TEST(TaskSpec, BeyondTheBoundsIsRefusedWithTheFieldsName) {
  const auto expect_refused = [](std::string_view field, auto change) {
    TaskSpec spec = sha512_spec();
    change(spec);
    const auto result = validate(spec);
    ASSERT_FALSE(result) << field;
    EXPECT_EQ(result.error().code, Code::kInvalid);
    EXPECT_NE(result.error().message.find(field), std::string::npos) << result.error().message;
  };
  expect_refused("queue", [](TaskSpec& s) { s.queue = ""; });
  expect_refused("queue", [](TaskSpec& s) { s.queue = "a b"; });
  expect_refused("queue", [](TaskSpec& s) { s.queue = std::string(limits::kNameBytesMax + 1, 'q'); });
  expect_refused("kind", [](TaskSpec& s) { s.kind = "md5"; });
  expect_refused("iterations", [](TaskSpec& s) { s.iterations = 0; });
  expect_refused("iterations", [](TaskSpec& s) { s.iterations = limits::kIterationsMax + 1; });
  expect_refused("program", [](TaskSpec& s) { s.program = "ls"; });
  expect_refused("program", [](TaskSpec& s) { s.kind = "command", s.iterations = 0; });
  expect_refused("iterations", [](TaskSpec& s) { s.kind = "command", s.program = "ls"; });
  expect_refused("priority", [](TaskSpec& s) { s.priority = limits::kPriorityMax + 1; });
  expect_refused("max_attempts", [](TaskSpec& s) { s.attempts_max = 0; });
  expect_refused("max_attempts", [](TaskSpec& s) { s.attempts_max = limits::kAttemptsMaxMax + 1; });
  expect_refused("delay", [](TaskSpec& s) { s.delay = Duration(-1); });
  expect_refused("delay", [](TaskSpec& s) { s.delay = limits::kDelayMax + Duration(1); });
  expect_refused("start_deadline", [](TaskSpec& s) { s.start_deadline = limits::kDelayMax + Duration(1); });
  expect_refused("timeout", [](TaskSpec& s) { s.run_timeout = limits::kRunTimeoutMax + Duration(1); });
  expect_refused("idempotency", [](TaskSpec& s) { s.idempotency_key = std::string(129, 'k'); });
  expect_refused("tags", [](TaskSpec& s) { s.tags.assign(limits::kTagsMax + 1, "t"); });
  expect_refused("tag", [](TaskSpec& s) { s.tags = {"a,b"}; });
}

RC_GTEST_PROP(TaskSpec, ANameIsOneToSixtyFourHarmlessCharacters, (const std::string& name)) {
  bool is_fine = !name.empty() && name.size() <= 64;
  for (const char c : name) {
    is_fine =
        is_fine && c != '\0' &&
        std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:").find(c) !=
            std::string_view::npos;
  }
  RC_ASSERT(validate_name("queue", name).has_value() == is_fine);
}

TEST(TaskRecord, LeaseTokenIsThatOfTheLastLease) {
  TaskRecord record;
  record.id = {1, 2, 3};
  record.lease_epoch = 4;
  record.lease_number = 5;
  EXPECT_EQ(record.lease_token(), (LeaseToken{{1, 2, 3}, 4, 5}));
}

TEST(TaskSpec, ParametersAreNamedOnceAndAreOfCommandsAlone) {
  TaskSpec spec;
  spec.kind = "command";
  spec.program = "p";
  const auto problem = [&](std::vector<std::string> parameters) {
    spec.parameters = std::move(parameters);
    const auto valid = validate(spec);
    return valid ? "" : valid.error().message;
  };
  EXPECT_EQ(problem({"a=", "b=x=y", "c:1=z"}), "");
  EXPECT_EQ(problem({"a=1", "a=2"}), "parameter 'a' is given twice");
  EXPECT_EQ(problem({"a"}), "parameter 'a' is not NAME=VALUE");
  EXPECT_NE(problem({"=a"}), "");
  EXPECT_NE(problem({"a b=1"}), "");
  EXPECT_EQ(problem({std::string("a=\0", 3)}),
            "parameter 'a' has a zero byte, which no argument of a program can have");
  EXPECT_EQ(problem({"a=" + std::string(limits::kParameterBytesMax, 'x')}), "");
  EXPECT_EQ(problem({"a=" + std::string(limits::kParameterBytesMax + 1, 'x')}),
            "parameter 'a' is longer than 4096 bytes");
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= limits::kParametersMax; ++i) many.push_back("p" + std::to_string(i) + "=");
  EXPECT_EQ(problem(many), "a task may have at most 16 parameters");
  spec.kind = "sha512";
  spec.program.clear();
  spec.iterations = 1;
  EXPECT_EQ(problem({"a=1"}), "parameters are only for tasks of kind 'command'");
}

}  // namespace
}  // namespace skep
