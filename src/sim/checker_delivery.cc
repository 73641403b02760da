// SPDX-License-Identifier: Apache-2.0
// No result is delivered twice by pullCompleted, and what was acknowledged never comes again.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class DeliveryChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "delivery"; }

  void on_pulled(const Pulled& pulled) override {
    for (const auto& item : pulled.reply->items()) {
      auto& promises = world_.auditor.of(TaskId::parse(item.id()).value());
      const bool is_once = pulled.is_once;
      // A pull that was under way when the delivery was answered may have been decided before it.
      if (promises.delivered_at <= pulled.arrived_at) {
        broken("the result of task " + item.id() + " was delivered or acknowledged, and comes again");
      }
      if (is_once && promises.is_delivered_once)
        broken("the result of task " + item.id() + " was delivered by pullCompleted, and is again");
      if (!is_once) {
        if (!sent_.insert(item.id()).second) world_.counters.add("results redelivered");
        continue;
      }
      promises.is_delivered_once = true;
      promises.delivered_at = std::min(promises.delivered_at, world_.now());
    }
    for (int i = 1; i < pulled.reply->items_size(); ++i) {
      if (world_.config.shards == 1 &&
          pulled.reply->items(i).finished_at_ms() < pulled.reply->items(i - 1).finished_at_ms()) {
        broken("a pull brings a younger result before an older one");
      }
    }
  }

 private:
  std::set<std::string> sent_;  // with a receipt
};

}  // namespace

std::unique_ptr<Checker> make_delivery_checker(World& world) {
  return std::make_unique<DeliveryChecker>(world);
}

}  // namespace skep::sim
