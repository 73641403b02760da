// SPDX-License-Identifier: Apache-2.0
#include "base/runner.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"

namespace skep {
namespace {

using Work = UniqueFunction<void()>;

// The wait for a timer runs on the monotonic clock, which stands still while the machine sleeps; skep's clock
// does not. Looking at least this often bounds how late a timer is after a sleep.
constexpr Duration kWaitMax = seconds(5);

// Timers by due time, then by age. Of one thread.
class TimerHeap {
 public:
  TimerId add(Instant when, Work work) {
    const TimerId id = next_id_++;
    heap_.push_back({when, id});
    std::push_heap(heap_.begin(), heap_.end(), later);
    work_.emplace(id, std::move(work));
    return id;
  }

  // The work is freed at once; its heap entry stays until it comes up or until such entries are the majority.
  void cancel(TimerId id) {
    const auto found = work_.find(id);
    if (found == work_.end()) return;
    const Work dropped = std::move(found->second);
    work_.erase(found);
    if (heap_.size() > 2 * work_.size() + kSlack) compact();
  }

  // The next timer due at `now` that was added before `id_end`.
  std::optional<Work> take_due(Instant now, TimerId id_end) {
    drop_cancelled();
    if (heap_.empty() || heap_.front().when > now || heap_.front().id >= id_end) return std::nullopt;
    const auto found = work_.find(heap_.front().id);
    Work work = std::move(found->second);
    work_.erase(found);
    pop();
    return work;
  }

  Instant next_due() {
    drop_cancelled();
    return heap_.empty() ? kNever : heap_.front().when;
  }

  TimerId next_id() const { return next_id_; }

 private:
  struct Entry {
    Instant when;
    TimerId id;
  };
  static constexpr std::size_t kSlack = 64;

  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.id > b.id;
  }

  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }

  void drop_cancelled() {
    while (!heap_.empty() && !work_.contains(heap_.front().id)) pop();
  }

  void compact() {
    std::erase_if(heap_, [this](const Entry& entry) { return !work_.contains(entry.id); });
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

  std::vector<Entry> heap_;
  std::unordered_map<TimerId, Work> work_;
  TimerId next_id_ = 1;
};

}  // namespace

struct Runner::Impl {
  Impl(const Clock& c, std::string n, std::shared_ptr<RunnerLoop> l)
      : clock(c), name(std::move(n)), loop(std::move(l)) {}

  void post(Work work);
  void stop();
  void run();
  bool take(std::vector<Work>& batch);
  void wait();
  void wait_in_loop();
  void run_due_timers();
  bool on_own_thread() const {
    return std::this_thread::get_id() == own_thread.load(std::memory_order_relaxed);
  }

  const Clock& clock;
  const std::string name;
  const std::shared_ptr<RunnerLoop> loop;

  Mutex mutex;
  Condition wake;
  std::vector<Work> queue SKEP_GUARDED_BY(mutex);
  bool is_stopping SKEP_GUARDED_BY(mutex) = false;
  bool is_waiting SKEP_GUARDED_BY(mutex) = false;

  // Of the runner's own thread, and of whoever stopped it once that thread has ended.
  TimerHeap timers;
  Instant round_start{};

  std::atomic<std::thread::id> own_thread;
  std::atomic<bool> has_ended = false;
  Mutex join_mutex;
  std::thread thread SKEP_GUARDED_BY(join_mutex);
};

void Runner::Impl::post(Work work) {
  const MutexLock lock(mutex);
  if (is_stopping) return;
  queue.push_back(std::move(work));
  // Under the lock: once it is free the work may run, and end this runner.
  if (!std::exchange(is_waiting, false)) return;
  if (loop == nullptr) {
    wake.notify_one();
  } else if (!on_own_thread()) {
    loop->wake();
  }
}

// Until there is something posted or due, or the end has come.
void Runner::Impl::wait() {
  const MutexLock lock(mutex);
  while (queue.empty() && !is_stopping) {
    const Duration patience = timers.next_due() - clock.now();
    if (patience <= Duration::zero()) break;
    is_waiting = true;
    wake.wait_for(mutex, std::min(patience, kWaitMax));
    is_waiting = false;
  }
}

// The same with the loop, which has its turn also when there is something: neither keeps the other from
// running.
void Runner::Impl::wait_in_loop() {
  Duration patience{};
  {
    const MutexLock lock(mutex);
    if (queue.empty() && !is_stopping) {
      patience = std::clamp(timers.next_due() - clock.now(), Duration::zero(), kWaitMax);
    }
    is_waiting = patience > Duration::zero();
  }
  loop->run(patience);
  const MutexLock lock(mutex);
  is_waiting = false;
}

// Takes what is posted; true if it is the last.
bool Runner::Impl::take(std::vector<Work>& batch) {
  const MutexLock lock(mutex);
  batch.swap(queue);
  return is_stopping;
}

void Runner::Impl::run() {
  own_thread.store(std::this_thread::get_id(), std::memory_order_relaxed);
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  std::vector<Work> batch;
  for (bool is_last = false; !is_last;) {
    loop == nullptr ? wait() : wait_in_loop();
    is_last = take(batch);
    run_due_timers();
    for (Work& work : batch) {
      work();
      work = nullptr;  // what it holds may be waited for: let go of it before the next one runs
    }
    batch.clear();
  }
}

// A timer that is set while this runs waits for the next round, so that timers which set themselves again
// cannot keep posted work from running.
void Runner::Impl::run_due_timers() {
  round_start = clock.now();
  const TimerId id_end = timers.next_id();
  while (std::optional<Work> work = timers.take_due(round_start, id_end)) (*work)();
}

void Runner::Impl::stop() {
  SKEP_CHECK(!on_own_thread(), "a runner cannot wait for its own end");
  {
    const MutexLock lock(mutex);
    is_stopping = true;
    is_waiting = false;
  }
  loop == nullptr ? wake.notify_one() : loop->wake();
  const MutexLock lock(join_mutex);
  if (!thread.joinable()) return;
  thread.join();
  own_thread.store({}, std::memory_order_relaxed);  // the system gives the id to another thread
  has_ended = true;
  timers = TimerHeap();
}

Runner::Runner(const Clock& clock, std::string name, std::shared_ptr<RunnerLoop> loop)
    : impl_(std::make_unique<Impl>(clock, std::move(name), std::move(loop))) {
  const MutexLock lock(impl_->join_mutex);
  impl_->thread = std::thread([impl = impl_.get()]() noexcept { impl->run(); });
}

Runner::~Runner() {
  impl_->stop();
}

void Runner::post(UniqueFunction<void()> work) {
  impl_->post(std::move(work));
}

TimerId Runner::post_at(Instant when, UniqueFunction<void()> work) {
  if (when == kNever || impl_->has_ended) return 0;
  SKEP_CHECK(impl_->on_own_thread(), "post_at is only for code that runs on the executor");
  // An instant in the past counts as now: else such timers would always stand before those that are due.
  return impl_->timers.add(std::max(when, impl_->round_start), std::move(work));
}

void Runner::cancel(TimerId timer) {
  if (timer == 0 || impl_->has_ended) return;
  SKEP_CHECK(impl_->on_own_thread(), "cancel is only for code that runs on the executor");
  impl_->timers.cancel(timer);
}

Instant Runner::now() const {
  return impl_->clock.now();
}

void Runner::stop() {
  impl_->stop();
}

}  // namespace skep
