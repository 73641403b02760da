// SPDX-License-Identifier: Apache-2.0
#include "worker/compute_threads.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "compute/engine.h"
#include "worker/executor_sha512.h"
#include "worker/stop_signal.h"

namespace skep::worker {
namespace {

constexpr Duration kProgressInterval = milliseconds(250);
// Calls and heartbeats of this process, and everything else on a shared machine, go before the computing.
constexpr int kComputeNice = 5;

// Turns the executor's fine-grained progress into few reports.
class Reporter {
 public:
  Reporter(std::string lease, const Clock& clock, std::function<void(Progress)> report)
      : lease_(std::move(lease)), clock_(clock), report_(std::move(report)), reported_at_(clock.now()) {}

  void reach(std::uint64_t iterations_done) {
    if (clock_.now() - reported_at_ >= kProgressInterval) send(iterations_done);
  }
  void send(std::uint64_t iterations_done) {
    const Instant now = clock_.now();
    report_({lease_, iterations_done, iterations_done - iterations_reported_, now - reported_at_});
    iterations_reported_ = iterations_done;
    reported_at_ = now;
  }

 private:
  std::string lease_;
  const Clock& clock_;
  std::function<void(Progress)> report_;
  Instant reported_at_;
  std::uint64_t iterations_reported_ = 0;
};

}  // namespace

struct ComputeThreads::Impl {
  struct Slot {
    StopSignal stop;
    std::string lease;  // that runs; under the mutex
    std::thread thread;
  };

  Impl(ComputeOptions o, const Clock& c, Executor& e, ComputeReplies r)
      : options(std::move(o)),
        clock(c),
        executor(e),
        replies(std::make_shared<ComputeReplies>(std::move(r))) {}

  void run(Slot& slot);
  // The next task of the slot's thread. Nothing: the end.
  std::optional<api::v1::Lease> next(Slot& slot);
  std::optional<api::v1::Outcome> execute(api::v1::Lease lease, compute::Engine& engine,
                                          const StopSignal& stop);
  std::optional<api::v1::Outcome> hash(api::v1::Lease lease, compute::Engine& engine, const StopSignal& stop);
  void report(Progress progress);

  const ComputeOptions options;
  const Clock& clock;
  Executor& executor;
  const std::shared_ptr<ComputeReplies> replies;  // posted work may outlive this

  Mutex mutex;
  Condition changed;
  std::deque<api::v1::Lease> queue SKEP_GUARDED_BY(mutex);
  bool is_ending SKEP_GUARDED_BY(mutex) = false;
  std::vector<std::unique_ptr<Slot>> slots;
};

void ComputeThreads::Impl::run(Slot& slot) {
  pthread_setname_np(pthread_self(), "compute");
  setpriority(PRIO_PROCESS, 0, kComputeNice);  // on Linux: of this thread
  const auto engine = compute::make_engine(compute::widest_plan(compute::Target::kScalar));
  while (auto lease = next(slot)) {
    auto outcome = execute(std::move(*lease), *engine, slot.stop);
    if (!outcome) continue;
    executor.post([replies = replies, outcome = std::move(*outcome)]() mutable {
      replies->finished(std::move(outcome));
    });
  }
}

std::optional<api::v1::Lease> ComputeThreads::Impl::next(Slot& slot) {
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

std::optional<api::v1::Outcome> ComputeThreads::Impl::execute(api::v1::Lease lease, compute::Engine& engine,
                                                              const StopSignal& stop) {
  if (lease.kind() == "sha512") return hash(std::move(lease), engine, stop);
  if (lease.kind() == "command") {
    return run_command(std::move(lease), options.programs, options.command_directory, clock, stop);
  }
  api::v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  outcome.set_failed(true);
  outcome.set_permanent(true);
  outcome.set_error("this worker does not know the kind \"" + lease.kind() + "\"");
  return outcome;
}

std::optional<api::v1::Outcome> ComputeThreads::Impl::hash(api::v1::Lease lease, compute::Engine& engine,
                                                           const StopSignal& stop) {
  Reporter reporter(lease.lease(), clock, [this](Progress progress) { report(std::move(progress)); });
  const std::uint64_t iterations = lease.iterations();
  auto outcome =
      run_sha512(std::move(lease), engine, clock, stop, [&](std::uint64_t done) { reporter.reach(done); });
  if (outcome && !outcome->failed()) reporter.send(iterations);
  return outcome;
}

void ComputeThreads::Impl::report(Progress progress) {
  executor.post([replies = replies, progress = std::move(progress)]() mutable {
    replies->progressed(std::move(progress));
  });
}

ComputeThreads::ComputeThreads(ComputeOptions options, const Clock& clock, Executor& executor,
                               ComputeReplies replies)
    : impl_(std::make_unique<Impl>(std::move(options), clock, executor, std::move(replies))) {
  for (std::uint32_t i = 0; i < impl_->options.slots; ++i) {
    auto& slot = *impl_->slots.emplace_back(std::make_unique<Impl::Slot>());
    slot.thread = std::thread([impl = impl_.get(), &slot]() noexcept { impl->run(slot); });
  }
}

ComputeThreads::~ComputeThreads() {
  {
    const MutexLock lock(impl_->mutex);
    impl_->is_ending = true;
    impl_->queue.clear();
    for (auto& slot : impl_->slots) slot->stop.raise();
  }
  impl_->changed.notify_all();
  for (auto& slot : impl_->slots) slot->thread.join();
}

void ComputeThreads::start(api::v1::Lease lease) {
  {
    const MutexLock lock(impl_->mutex);
    impl_->queue.push_back(std::move(lease));
  }
  impl_->changed.notify_one();
}

void ComputeThreads::stop(const std::string& lease) {
  const MutexLock lock(impl_->mutex);
  std::erase_if(impl_->queue, [&](const api::v1::Lease& queued) { return queued.lease() == lease; });
  for (auto& slot : impl_->slots) {
    if (slot->lease == lease) slot->stop.raise();
  }
}

}  // namespace skep::worker
