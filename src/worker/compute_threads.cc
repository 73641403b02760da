// SPDX-License-Identifier: Apache-2.0
#include "worker/compute_threads.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "base/limits_os.h"
#include "base/mutex.h"
#include "worker/command_threads.h"

namespace skep::worker {
namespace {

constexpr Duration kPublishInterval = milliseconds(20);  // of progress
constexpr Duration kMeasureInterval = milliseconds(250);
// Calls and heartbeats of this process, and everything else on a shared machine, go before the computing.
constexpr int kComputeNice = 5;

// What a core is asked to do between two slices.
struct AddOrder {
  api::v1::Lease lease;
};
struct AdoptOrder {
  HashTask task;
};
enum class StopKind : std::uint8_t { kGiveUp, kHandBack, kHandBackWaiting };
struct StopOrder {
  std::string lease;
  StopKind kind = StopKind::kGiveUp;
};
using Order = std::variant<AddOrder, AdoptOrder, StopOrder>;

bool is_command(const api::v1::Lease& lease) {
  return lease.kind() == "command";
}

api::v1::Outcome unknown_kind(const api::v1::Lease& lease) {
  api::v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  outcome.set_failed(true);
  outcome.set_permanent(true);
  outcome.set_error("this worker does not know the kind \"" + lease.kind() + "\"");
  return outcome;
}

}  // namespace

struct ComputeThreads::Impl {
  struct Core {
    std::size_t number = 0;
    std::uint32_t lanes = 1;
    // Under the mutex:
    std::vector<Order> inbox;
    std::size_t tasks = 0;  // in the inbox or computed
    std::vector<HashProgress> progress;
    Condition changed;  // the inbox is no longer empty, or it is the end
    // Of the thread:
    std::thread thread;
    Instant published_at{};
    SpeedSample sample;  // not told yet
    Instant measured_at{};
  };

  Impl(ComputeOptions o, const Clock& c, Executor& e, ComputeReplies r)
      : plan(std::move(o.plan)),
        clock(c),
        executor(e),
        replies(std::make_shared<ComputeReplies>(std::move(r))) {
    if (o.programs.empty()) return;
    commands.emplace(o.commands, std::move(o.programs), std::move(o.command_place), c,
                     [this](api::v1::Outcome outcome) { finish({std::move(outcome)}); });
  }

  // Under the mutex.
  static void send(Core& core, Order order) {
    core.inbox.push_back(std::move(order));
    core.changed.notify_one();
  }

  void run(Core& core);
  std::optional<std::vector<Order>> next_orders(Core& core, bool is_idle);
  void carry_out(Core& core, HashCore& hash, AddOrder order);
  void carry_out(Core& core, HashCore& hash, AdoptOrder order);
  void carry_out(Core& core, HashCore& hash, StopOrder order);
  void settle(Core& core, const std::vector<api::v1::Outcome>& outcomes);
  void publish(Core& core, const HashCore& hash);
  void measure(Core& core, const HashSlice& slice);
  void share_out(Core& core, HashCore& hash);
  // On the executor, one after the other.
  void finish(std::vector<api::v1::Outcome> outcomes);
  void hand_back(api::v1::ReleasedLease lease);
  void order(const std::string& lease, StopOrder order);

  const compute::Plan plan;
  const Clock& clock;
  Executor& executor;
  const std::shared_ptr<ComputeReplies> replies;  // posted work may outlive this

  mutable Mutex mutex;
  bool is_ending SKEP_GUARDED_BY(mutex) = false;
  std::unordered_map<std::string, Core*> places SKEP_GUARDED_BY(mutex);  // of each sha512 task, by its lease
  std::vector<std::unique_ptr<Core>> cores;
  std::optional<CommandThreads> commands;
};

void ComputeThreads::Impl::run(Core& core) {
  pthread_setname_np(pthread_self(), "compute");
  setpriority(PRIO_PROCESS, 0, kComputeNice);  // on Linux: of this thread
  const auto cpus = allowed_cpus();
  // Fewer threads than processors are best placed by the kernel, which sees what else runs.
  if (cpus.size() == cores.size()) pin_this_thread(cpus[core.number]);
  HashCore hash(compute::make_engine(plan.limited_to(core.lanes)), clock);
  while (auto orders = next_orders(core, hash.tasks() == 0)) {
    for (auto& item : *orders) {
      std::visit([&](auto& order) { carry_out(core, hash, std::move(order)); }, item);
    }
    auto slice = hash.run();
    measure(core, slice);
    if (!slice.outcomes.empty()) {
      settle(core, slice.outcomes);
      finish(std::move(slice.outcomes));
    }
    if (clock.now() >= core.published_at + kPublishInterval || hash.tasks() == 0) publish(core, hash);
    share_out(core, hash);
  }
}

// Nothing: the end.
std::optional<std::vector<Order>> ComputeThreads::Impl::next_orders(Core& core, bool is_idle) {
  const MutexLock lock(mutex);
  while (is_idle && core.inbox.empty() && !is_ending) core.changed.wait(mutex);
  if (is_ending) return std::nullopt;
  return std::exchange(core.inbox, {});
}

void ComputeThreads::Impl::carry_out(Core& core, HashCore& hash, AddOrder order) {
  auto refused = order.lease.kind() == "sha512" ? hash.add(std::move(order.lease))
                                                : std::optional(unknown_kind(order.lease));
  if (!refused) return;
  settle(core, {*refused});
  finish({std::move(*refused)});
}

void ComputeThreads::Impl::carry_out(Core&, HashCore& hash, AdoptOrder order) {
  hash.adopt(std::move(order.task));
}

void ComputeThreads::Impl::carry_out(Core& core, HashCore& hash, StopOrder order) {
  std::optional<api::v1::ReleasedLease> released;
  if (order.kind == StopKind::kHandBack) released = hash.hand_back(order.lease);
  if (order.kind == StopKind::kHandBackWaiting) released = hash.hand_back_waiting(order.lease);
  const bool is_stopped = order.kind == StopKind::kGiveUp ? hash.stop(order.lease) : released.has_value();
  {
    const MutexLock lock(mutex);
    const auto place = places.find(order.lease);
    if (place == places.end()) return;  // it has ended
    if (!is_stopped) {
      if (order.kind == StopKind::kHandBackWaiting && place->second == &core) return;  // it has begun
      // It was given to another core in the meantime, or is on its way back.
      send(*place->second, std::move(order));
      return;
    }
    places.erase(place);
    --core.tasks;
  }
  if (released) hand_back(std::move(*released));
}

void ComputeThreads::Impl::settle(Core& core, const std::vector<api::v1::Outcome>& outcomes) {
  const MutexLock lock(mutex);
  for (const auto& outcome : outcomes) places.erase(outcome.lease());
  core.tasks -= outcomes.size();
}

void ComputeThreads::Impl::publish(Core& core, const HashCore& hash) {
  core.published_at = clock.now();
  auto progress = hash.progress();
  const MutexLock lock(mutex);
  core.progress = std::move(progress);
}

void ComputeThreads::Impl::measure(Core& core, const HashSlice& slice) {
  core.sample.compressions += slice.slot_compressions;
  core.sample.busy += slice.busy;
  const Instant now = clock.now();
  if (core.sample.busy == Duration::zero() || now < core.measured_at + kMeasureInterval) return;
  core.measured_at = now;
  executor.post([replies = replies, sample = std::exchange(core.sample, {})] { replies->measured(sample); });
}

// Gives a task to a core that has a lane free, if this one has none for it or at least two tasks more.
void ComputeThreads::Impl::share_out(Core& core, HashCore& hash) {
  const MutexLock lock(mutex);
  Core* poor = nullptr;
  for (const auto& other : cores) {
    const bool has_lane = other->tasks < other->lanes;
    const bool is_poorer = core.tasks > core.lanes || other->tasks + 2 <= core.tasks;
    if (!has_lane || !is_poorer || other.get() == &core) continue;
    if (poor == nullptr || other->tasks < poor->tasks) poor = other.get();
  }
  if (poor == nullptr) return;
  auto task = hash.give_away();
  if (!task) return;  // all of its tasks are in the inbox
  places[task->lease.lease()] = poor;
  --core.tasks;
  ++poor->tasks;
  send(*poor, AdoptOrder{std::move(*task)});
}

void ComputeThreads::Impl::finish(std::vector<api::v1::Outcome> outcomes) {
  executor.post([replies = replies, outcomes = std::move(outcomes)]() mutable {
    for (auto& outcome : outcomes) replies->finished(std::move(outcome));
  });
}

void ComputeThreads::Impl::hand_back(api::v1::ReleasedLease lease) {
  executor.post(
      [replies = replies, lease = std::move(lease)]() mutable { replies->handed_back(std::move(lease)); });
}

void ComputeThreads::Impl::order(const std::string& lease, StopOrder order) {
  const MutexLock lock(mutex);
  const auto place = places.find(lease);
  if (place == places.end()) return;
  send(*place->second, std::move(order));
}

ComputeThreads::ComputeThreads(ComputeOptions options, const Clock& clock, Executor& executor,
                               ComputeReplies replies) {
  const std::vector<std::uint32_t> lanes = options.lanes;
  impl_ = std::make_unique<Impl>(std::move(options), clock, executor, std::move(replies));
  for (const std::uint32_t count : lanes) {
    auto& core = *impl_->cores.emplace_back(std::make_unique<Impl::Core>());
    core.number = impl_->cores.size() - 1;
    core.lanes = count;
  }
  // Only now, as they look at each other.
  for (auto& core : impl_->cores) {
    core->thread = std::thread([impl = impl_.get(), &core = *core]() noexcept { impl->run(core); });
  }
}

ComputeThreads::~ComputeThreads() {
  {
    const MutexLock lock(impl_->mutex);
    impl_->is_ending = true;
  }
  for (auto& core : impl_->cores) core->changed.notify_one();
  for (auto& core : impl_->cores) core->thread.join();
}

void ComputeThreads::start(api::v1::Lease lease) {
  if (is_command(lease) && impl_->commands) return impl_->commands->start(std::move(lease));
  const MutexLock lock(impl_->mutex);
  const auto least = std::min_element(
      impl_->cores.begin(), impl_->cores.end(),
      [](const auto& a, const auto& b) { return a->tasks * b->lanes < b->tasks * a->lanes; });
  Impl::Core& core = **least;
  impl_->places[lease.lease()] = &core;
  ++core.tasks;
  Impl::send(core, AddOrder{std::move(lease)});
}

void ComputeThreads::stop(const std::string& lease) {
  if (impl_->commands && impl_->commands->stop(lease)) return;
  impl_->order(lease, {lease, StopKind::kGiveUp});
}

void ComputeThreads::hand_back(const std::string& lease) {
  const auto was_running = impl_->commands ? impl_->commands->stop(lease) : std::nullopt;
  if (!was_running) return impl_->order(lease, {lease, StopKind::kHandBack});
  api::v1::ReleasedLease released;
  released.set_lease(lease);
  released.set_started(*was_running);
  impl_->hand_back(std::move(released));
}

void ComputeThreads::hand_back_waiting(const std::string& lease) {
  impl_->order(lease, {lease, StopKind::kHandBackWaiting});
}

std::vector<HashProgress> ComputeThreads::progress() const {
  std::vector<HashProgress> out;
  if (impl_->commands) {
    for (auto& lease : impl_->commands->running()) out.push_back({std::move(lease), {}});
  }
  const MutexLock lock(impl_->mutex);
  for (const auto& core : impl_->cores) out.insert(out.end(), core->progress.begin(), core->progress.end());
  return out;
}

}  // namespace skep::worker
