// SPDX-License-Identifier: Apache-2.0
#include "worker/command_threads.h"

#include <pthread.h>

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "worker/stop_signal.h"

namespace skep::worker {

struct CommandThreads::Impl {
  struct Slot {
    StopSignal stop;
    std::string lease;  // that runs; under the mutex
    std::thread thread;
  };

  Impl(Programs p, CommandPlace d, const Clock& c, std::function<void(api::v1::Outcome)> f)
      : programs(std::move(p)), place(std::move(d)), clock(c), finished(std::move(f)) {}

  void run(Slot& slot) {
    pthread_setname_np(pthread_self(), "command");
    while (auto lease = next(slot)) {
      auto outcome = run_command(std::move(*lease), programs, place, clock, slot.stop);
      if (outcome) finished(std::move(*outcome));
    }
  }

  // The next task of the slot's thread. Nothing: the end.
  std::optional<api::v1::Lease> next(Slot& slot) {
    const MutexLock lock(mutex);
    slot.lease.clear();
    while (queue.empty() && !is_ending) changed.wait(mutex);
    if (is_ending) return std::nullopt;
    api::v1::Lease lease = std::move(queue.front());
    queue.pop_front();
    slot.lease = lease.lease();
    slot.stop.clear();
    return lease;
  }

  const Programs programs;
  const CommandPlace place;
  const Clock& clock;
  const std::function<void(api::v1::Outcome)> finished;

  Mutex mutex;
  Condition changed;
  std::deque<api::v1::Lease> queue SKEP_GUARDED_BY(mutex);
  bool is_ending SKEP_GUARDED_BY(mutex) = false;
  std::vector<std::unique_ptr<Slot>> slots;
};

CommandThreads::CommandThreads(std::uint32_t count, Programs programs, CommandPlace place, const Clock& clock,
                               std::function<void(api::v1::Outcome)> finished)
    : impl_(std::make_unique<Impl>(std::move(programs), std::move(place), clock, std::move(finished))) {
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& slot = *impl_->slots.emplace_back(std::make_unique<Impl::Slot>());
    slot.thread = std::thread([impl = impl_.get(), &slot]() noexcept { impl->run(slot); });
  }
}

CommandThreads::~CommandThreads() {
  {
    const MutexLock lock(impl_->mutex);
    impl_->is_ending = true;
    impl_->queue.clear();
    for (auto& slot : impl_->slots) slot->stop.raise();
  }
  impl_->changed.notify_all();
  for (auto& slot : impl_->slots) slot->thread.join();
}

void CommandThreads::start(api::v1::Lease lease) {
  {
    const MutexLock lock(impl_->mutex);
    impl_->queue.push_back(std::move(lease));
  }
  impl_->changed.notify_one();
}

std::optional<bool> CommandThreads::stop(const std::string& lease) {
  const MutexLock lock(impl_->mutex);
  if (std::erase_if(impl_->queue, [&](const auto& queued) { return queued.lease() == lease; }) > 0)
    return false;
  for (auto& slot : impl_->slots) {
    if (slot->lease != lease) continue;
    slot->stop.raise();
    return true;
  }
  return std::nullopt;
}

std::vector<std::string> CommandThreads::running() const {
  const MutexLock lock(impl_->mutex);
  std::vector<std::string> out;
  for (const auto& slot : impl_->slots) {
    if (!slot->lease.empty()) out.push_back(slot->lease);
  }
  return out;
}

}  // namespace skep::worker
