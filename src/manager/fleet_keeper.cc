// SPDX-License-Identifier: Apache-2.0
#include "manager/fleet_keeper.h"

#include <utility>

#include "base/runner.h"

namespace skep::manager {
namespace {

constexpr Duration kInterval = seconds(1);
constexpr Duration kOwnInterval = seconds(10);  // where nobody else writes: the month may be another

}  // namespace

struct FleetKeeper::Impl : std::enable_shared_from_this<Impl> {
  Impl(store::FleetStore* s, bool shared, Executor& e, const Clock& c, Changed on_change, Logger l)
      : own(s == nullptr ? store::make_memory_fleet(c) : nullptr),
        store(s == nullptr ? *own : *s),
        is_shared(shared),
        executor(e),
        clock(c),
        changed(std::move(on_change)),
        log(std::move(l)),
        runner(c, "skep-fleet") {}

  // On the runner, or before it has anything to do. `done` after `changed`.
  void take(Result<FleetRecord> record, UniqueFunction<void(Result<void>)> done = nullptr) {
    note(record);
    const bool is_new = record && record.value() != known;
    if (record) known = record.value();
    executor.post(
        [self = shared_from_this(), is_new, record = std::move(record), done = std::move(done)]() mutable {
          if (self->is_stopped) return;
          if (is_new && record) self->changed(record.value());
          if (!done) return;
          if (record) {
            done(ok());
          } else {
            done(record.error());
          }
        });
  }

  void note(const Result<FleetRecord>& record) {
    const bool is_answer = record || record.error().code == Code::kFenced;
    const std::string now = is_answer ? "" : record.error().message;
    if (now == problem) return;
    if (now.empty()) {
      log.info("what is kept of the fleet can be read and written again");
    } else {
      log.error("what is kept of the fleet can not be read or written: what was read last counts",
                {{"problem", now}});
    }
    problem = now;
  }

  void go_on() {
    runner.post_at(clock.now() + (is_shared ? kInterval : kOwnInterval), [this] {
      take(store.read());
      go_on();
    });
  }

  const std::unique_ptr<store::FleetStore> own;
  store::FleetStore& store;
  const bool is_shared;
  Executor& executor;
  const Clock& clock;
  const Changed changed;
  const Logger log;
  bool is_stopped = false;  // of the executor

  // Of the runner.
  FleetRecord known;
  std::string problem;

  Runner runner;  // last: it ends first
};

FleetKeeper::FleetKeeper(store::FleetStore* store, bool is_shared, Executor& executor, const Clock& clock,
                         Changed changed, Logger log)
    : impl_(std::make_shared<Impl>(store, is_shared, executor, clock, std::move(changed), std::move(log))) {}

FleetKeeper::~FleetKeeper() = default;

void FleetKeeper::start() {
  impl_->take(impl_->store.read());
  impl_->runner.post([impl = impl_.get()] { impl->go_on(); });
}

void FleetKeeper::stop() {
  impl_->runner.stop();
  impl_->executor.post([impl = impl_] { impl->is_stopped = true; });
}

void FleetKeeper::set_order(FleetOrder order, UniqueFunction<void(Result<void>)> done) {
  impl_->runner.post([impl = impl_.get(), order, done = std::move(done)]() mutable {
    impl->take(impl->store.set_order(order), std::move(done));
  });
}

void FleetKeeper::add_spending(SpendingPart part, UniqueFunction<void(Result<void>)> done) {
  impl_->runner.post([impl = impl_.get(), part = std::move(part), done = std::move(done)]() mutable {
    impl->take(impl->store.add_spending(part), std::move(done));
  });
}

void FleetKeeper::set_siblings(std::vector<std::string> siblings, UniqueFunction<void(Result<void>)> done) {
  impl_->runner.post([impl = impl_, siblings = std::move(siblings), done = std::move(done)]() mutable {
    auto kept = impl->store.set_siblings(siblings);
    impl->executor.post([impl, kept = std::move(kept), done = std::move(done)]() mutable {
      if (!impl->is_stopped) done(std::move(kept));
    });
  });
}

}  // namespace skep::manager
