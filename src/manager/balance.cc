// SPDX-License-Identifier: Apache-2.0
#include "manager/balance.h"

#include <algorithm>

namespace skep::manager {
namespace {

constexpr std::uint32_t kMovedPart = 8;  // of its workers, one part at a time

// A whole number whose mean is `value`.
std::uint32_t round_by_chance(double value, Random& random) {
  const auto whole = static_cast<std::uint32_t>(value);
  return whole + (random.chance(value - whole) ? 1u : 0u);
}

}  // namespace

std::vector<WorkerCount> plan_moves(std::uint32_t here, const std::vector<WorkerCount>& siblings,
                                    Random& random) {
  const auto managers = static_cast<std::uint32_t>(siblings.size()) + 1;
  std::uint32_t all = here;
  for (const auto& sibling : siblings) all += sibling.workers;
  const std::uint32_t least = all / managers;
  const std::uint32_t most = (all + managers - 1) / managers;
  const auto below = [](std::uint32_t count, std::uint32_t share) {
    return count < share ? share - count : 0;
  };
  // First up to what each has at least; then those that still have more than they may give to the others.
  const auto plan = [&](std::uint32_t share) {
    std::uint32_t missing = below(here, share);
    std::uint32_t spare = below(share, here);
    for (const auto& sibling : siblings) {
      missing += below(sibling.workers, share);
      spare += below(share, sibling.workers);
    }
    std::vector<WorkerCount> moves;
    if (missing == 0 || here <= share) return moves;
    const double part =
        static_cast<double>(here - share) * std::min(1.0, static_cast<double>(missing) / spare);
    std::uint32_t left = std::min(round_by_chance(part, random), std::max(1u, here / kMovedPart));
    for (const auto& sibling : siblings) moves.push_back({sibling.address, below(sibling.workers, share)});
    // To each by chance, as much as it is short of.
    std::uint32_t open = missing;
    for (auto& move : moves) {
      const double wanted = static_cast<double>(left) * move.workers / std::max(open, 1u);
      open -= move.workers;
      const std::uint32_t given = std::min({round_by_chance(wanted, random), move.workers, left});
      move.workers = given;
      left -= given;
    }
    std::erase_if(moves, [](const WorkerCount& move) { return move.workers == 0; });
    return moves;
  };
  const bool is_any_short = std::any_of(siblings.begin(), siblings.end(),
                                        [&](const WorkerCount& sibling) { return sibling.workers < least; });
  return plan(is_any_short ? least : most);
}

}  // namespace skep::manager
