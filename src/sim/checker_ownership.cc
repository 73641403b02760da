// SPDX-License-Identifier: Apache-2.0
// Where managers share the store: a shard has one owner in an epoch, only that one writes in it, and no two
// serve a shard at one moment. Some time after the last trouble each serves its fair share, and all together
// serve all.
#include <algorithm>

#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

constexpr Duration kSharedWithin = seconds(10);

class OwnershipChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "ownership"; }

  void on_taken(ShardId shard, Epoch epoch, store::MemberId member) override {
    const auto [at, is_new] = owners_.try_emplace({shard, epoch}, member);
    if (!is_new)
      broken("shard " + std::to_string(shard) + " has two owners at epoch " + std::to_string(epoch));
    if (member == 0) return;
    // Whoever takes it can not serve it yet.
    for (const auto& serving : world_.served()) {
      if (serving.shard != shard) continue;
      broken("shard " + std::to_string(shard) + " was taken at epoch " + std::to_string(epoch) +
             " while manager " + std::to_string(serving.node) + " serves it at epoch " +
             std::to_string(serving.epoch));
    }
  }

  void on_batch(ShardId shard, Epoch epoch, store::MemberId writer) override {
    if (!world_.is_shared()) return;
    const auto found = owners_.find({shard, epoch});
    if (found != owners_.end() && found->second == writer) return;
    broken("member " + std::to_string(writer) + " wrote to shard " + std::to_string(shard) + " at epoch " +
           std::to_string(epoch) + ", which is not its own");
  }

  void on_tick() override {
    if (!world_.is_shared()) return;
    const auto served = world_.served();
    std::map<ShardId, std::size_t> by_shard;
    for (const auto& serving : served) {
      if (const auto [at, is_new] = by_shard.try_emplace(serving.shard, serving.node); !is_new) {
        broken("shard " + std::to_string(serving.shard) + " is served by managers " +
               std::to_string(at->second) + " and " + std::to_string(serving.node) + " at one moment");
      }
    }
    if (world_.cuts.is_any(world_.now()) || world_.now() < world_.store_away_until) world_.disturb();
    if (world_.now() - world_.disturbed_at >= kSharedWithin) look_at_shares(served.size());
  }

 private:
  void look_at_shares(std::size_t served) {
    const auto shares = world_.shares();
    if (shares.empty()) return;
    const std::size_t least = world_.config.shards / shares.size();
    const std::size_t most = least + (world_.config.shards % shares.size() == 0 ? 0 : 1);
    const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
    if (served == world_.config.shards && *low >= least && *high <= most) {
      world_.counters.add("shares looked at and fair");
      return;
    }
    std::string all;
    for (const auto share : shares) all += (all.empty() ? "" : ", ") + std::to_string(share);
    broken("of " + std::to_string(world_.config.shards) + " shards " + std::to_string(served) +
           " are served, by managers with " + all + ", " +
           describe_duration(world_.now() - world_.disturbed_at) + " after the last trouble");
  }

  std::map<std::pair<ShardId, Epoch>, store::MemberId> owners_;
};

}  // namespace

std::unique_ptr<Checker> make_ownership_checker(World& world) {
  return std::make_unique<OwnershipChecker>(world);
}

}  // namespace skep::sim
