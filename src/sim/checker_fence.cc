// SPDX-License-Identifier: Apache-2.0
// Epochs of a shard strictly rise, and no write of an old epoch succeeds.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class FenceChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "fence"; }

  void on_claim(ShardId shard, Epoch epoch) override {
    Epoch& highest = highest_[shard];
    if (epoch <= highest) {
      broken("shard " + std::to_string(shard) + " was claimed at epoch " + std::to_string(epoch) +
             " after epoch " + std::to_string(highest));
    }
    highest = epoch;
  }
  void on_batch(ShardId shard, Epoch epoch, store::MemberId) override {
    if (epoch == highest_[shard]) return;
    broken("a write of epoch " + std::to_string(epoch) + " to shard " + std::to_string(shard) +
           " succeeded, whose epoch is " + std::to_string(highest_[shard]));
  }

 private:
  std::map<ShardId, Epoch> highest_;
};

}  // namespace

std::unique_ptr<Checker> make_fence_checker(World& world) {
  return std::make_unique<FenceChecker>(world);
}

}  // namespace skep::sim
