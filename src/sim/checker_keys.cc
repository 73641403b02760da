// SPDX-License-Identifier: Apache-2.0
// The same idempotency key names one task, as long as that is kept; and no request makes more tasks than it
// was taken for.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class KeyChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "keys"; }

  void on_written(const Written& written) override {
    if (written.before != nullptr || written.after == nullptr) return;
    const Intent* intent = world_.auditor.of(written.after->id).intent;
    if (intent == nullptr) return;
    const std::string id = written.after->id.to_string();
    if (intent->ids.size() + intent->refusals > intent->arrivals)
      broken("task " + id + " was stored for a request that was refused");
    if (intent->spec.idempotency_key.empty()) return;
    for (const auto& other : intent->ids) {
      if (other != written.after->id && world_.disk.records().contains(other)) {
        broken("tasks " + other.to_string() + " and " + id + " have the same idempotency key, " +
               intent->spec.idempotency_key);
      }
    }
  }

  void on_enqueued(const Intent& intent, const TaskId& id) override {
    const Intent* of_id = world_.auditor.of(id).intent;
    if (of_id != nullptr && of_id != &intent) {
      broken("an enqueue was answered with task " + id.to_string() + ", which is another client's");
    }
    if (intent.spec.idempotency_key.empty() || !intent.acknowledged || *intent.acknowledged == id) return;
    if (world_.auditor.of(*intent.acknowledged).is_erased) return;
    broken("key " + intent.spec.idempotency_key + " named task " + intent.acknowledged->to_string() +
           " and now names " + id.to_string());
  }
};

}  // namespace

std::unique_ptr<Checker> make_key_checker(World& world) {
  return std::make_unique<KeyChecker>(world);
}

}  // namespace skep::sim
