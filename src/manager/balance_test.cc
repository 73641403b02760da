// SPDX-License-Identifier: Apache-2.0
// Goal: workers spread evenly over the managers that live, soon, without going to and fro, and not all at
// once. Method: managers that plan once a second from what the others said a second ago, with workers that
// follow.
#include "manager/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace skep::manager {
namespace {

using Counts = std::vector<std::uint32_t>;

struct World {
  Counts counts;
  Random random;
  std::uint32_t moved = 0;       // in all
  std::uint32_t moved_most = 0;  // to one manager in one second
  std::vector<bool> is_away = std::vector<bool>(counts.size(), false);

  void step() {
    const Counts said = counts;
    Counts came(counts.size(), 0);
    for (std::size_t self = 0; self < counts.size(); ++self) {
      if (is_away[self]) continue;
      std::vector<WorkerCount> siblings;
      for (std::size_t other = 0; other < counts.size(); ++other) {
        if (other != self && !is_away[other]) siblings.push_back({std::to_string(other), said[other]});
      }
      for (const auto& move : plan_moves(counts[self], siblings, random)) {
        const auto to = static_cast<std::size_t>(std::stoul(move.address));
        counts[self] -= move.workers;
        came[to] += move.workers;
        moved += move.workers;
      }
    }
    for (std::size_t to = 0; to < counts.size(); ++to) {
      counts[to] += came[to];
      moved_most = std::max(moved_most, came[to]);
    }
  }
  // Its workers go to the others, by chance.
  void take_away(std::size_t manager) {
    is_away[manager] = true;
    while (counts[manager] > 0) {
      const auto to = static_cast<std::size_t>(random.below(counts.size()));
      if (is_away[to]) continue;
      --counts[manager];
      ++counts[to];
    }
  }
  bool is_even() const {
    std::uint32_t low = ~0u, high = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (is_away[i]) continue;
      low = std::min(low, counts[i]);
      high = std::max(high, counts[i]);
    }
    return high - low <= 1;
  }
  int seconds_until_even(int most) {
    for (int passed = 0; passed <= most; ++passed) {
      if (is_even()) return passed;
      step();
    }
    return -1;
  }
};

TEST(Balance, TwoManagersShareAndStop) {
  Random random(1);
  EXPECT_TRUE(plan_moves(3, {{"b", 3}}, random).empty());
  EXPECT_TRUE(plan_moves(3, {{"b", 2}}, random).empty());
  EXPECT_TRUE(plan_moves(2, {{"b", 3}}, random).empty());
  EXPECT_TRUE(plan_moves(0, {}, random).empty());
  EXPECT_TRUE(plan_moves(9, {}, random).empty());
  const auto moves = plan_moves(4, {{"b", 2}}, random);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].address, "b");
  EXPECT_EQ(moves[0].workers, 1u);
  EXPECT_LE(plan_moves(800, {{"b", 0}}, random)[0].workers, 100u);
}

TEST(Balance, WhateverTheStartItIsEvenSoonAndStaysSo) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random draw(seed);
    World world{Counts(2 + draw.below(6)), Random(seed + 1'000)};
    for (auto& count : world.counts) count = static_cast<std::uint32_t>(draw.below(seed % 3 == 0 ? 8 : 300));
    const auto all = std::accumulate(world.counts.begin(), world.counts.end(), 0u);
    std::uint32_t needed = 0;
    for (const auto count : world.counts) {
      const auto share = static_cast<std::uint32_t>(all / world.counts.size());
      needed += count > share ? count - share : 0;
    }
    EXPECT_GE(world.seconds_until_even(60), 0) << "seed " << seed;
    EXPECT_LE(world.moved, needed + 10 + needed / 4) << "seed " << seed;
    EXPECT_EQ(std::accumulate(world.counts.begin(), world.counts.end(), 0u), all);
    const auto moved = world.moved;
    for (int i = 0; i < 20; ++i) world.step();
    EXPECT_EQ(world.moved, moved) << "seed " << seed << ": nobody moves once it is even";
  }
}

TEST(Balance, AManagerThatIsBackGetsItsWorkersOverSomeSecondsAndNotAllAtOnce) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world{Counts{400, 400, 400}, Random(seed)};
    world.take_away(1);
    EXPECT_GE(world.seconds_until_even(30), 0);
    world.moved_most = 0;
    world.is_away[1] = false;
    const int took = world.seconds_until_even(60);
    EXPECT_GE(took, 3) << "seed " << seed;
    EXPECT_LE(took, 30) << "seed " << seed;
    EXPECT_LE(world.moved_most, 400u / 2) << "seed " << seed;
  }
}

}  // namespace
}  // namespace skep::manager
