// SPDX-License-Identifier: Apache-2.0
// Goal: a line gives its keys in their order, whatever left it from the middle or came back. Method: the same
// calls on a line and on a set.
#include "queue/ready_line.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace skep::queue {
namespace {

struct Model {
  Line<int> line;
  std::set<int> waiting;
  int next = 0;

  auto is_alive() const {
    return [this](int key) { return waiting.contains(key); };
  }
  void add(int key) {
    line.add(key);
    waiting.insert(key);
  }
  void remove(int key) {
    line.remove(key, is_alive());
    waiting.erase(key);
  }
  void check() const {
    RC_ASSERT(line.size() == waiting.size());
    RC_ASSERT(line.empty() == waiting.empty());
    if (!waiting.empty()) RC_ASSERT(line.front() == *waiting.begin());
    RC_ASSERT(line.alive(is_alive()) == std::vector<int>(waiting.begin(), waiting.end()));
  }
};

TEST(Line, IsASetWhateverLeavesAndComesBack) {
  RC_ASSERT(rc::check([] {
    Model model;
    std::vector<int> away;
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 10), rc::gen::arbitrary<int>()));
    for (const auto& [what, choice] : steps) {
      const auto pick = [&, c = static_cast<unsigned>(choice)](const auto& from) {
        return *std::next(from.begin(), static_cast<std::ptrdiff_t>(c % from.size()));
      };
      if (what < 4) {
        model.add(model.next++);
      } else if (what < 6 && !model.waiting.empty()) {
        away.push_back(*model.waiting.begin());
        model.remove(away.back());
      } else if (what < 8 && !model.waiting.empty()) {
        away.push_back(pick(model.waiting));
        model.remove(away.back());
      } else if (!away.empty()) {
        const int key = pick(away);
        std::erase(away, key);
        model.line.add_back(key);
        model.waiting.insert(key);
      }
      model.check();
    }
  }));
}

TEST(Line, ShellsOfTheMiddleAreSweptWhenTheyAreTheMajority) {
  Model model;
  for (int key = 0; key < 1'000; ++key) model.add(key);
  for (int key = 999; key > 0; --key) model.remove(key);
  model.add(1'000);
  model.remove(0);
  EXPECT_EQ(model.line.front(), 1'000);
  ASSERT_NE(model.line.first_new(), nullptr);
  EXPECT_EQ(*model.line.first_new(), 1'000);
}

TEST(Line, TheFirstNewOneIsNotOneThatCameBack) {
  Model model;
  model.add(1);
  model.add(2);
  model.remove(1);
  model.line.add_back(1);
  model.waiting.insert(1);
  EXPECT_EQ(model.line.front(), 1);
  EXPECT_EQ(*model.line.first_new(), 2);
}

}  // namespace
}  // namespace skep::queue
