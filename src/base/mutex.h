// SPDX-License-Identifier: Apache-2.0
// mutex.h - a mutex and a condition that clang's thread-safety analysis understands.
//
// Only the files that ARCHITECTURE.md lists may include this; test/tidy holds that.
//
// Threads:   any thread.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/time.h"

#if defined(__clang__)
#define SKEP_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define SKEP_THREAD_ATTRIBUTE(x)
#endif
#define SKEP_GUARDED_BY(x) SKEP_THREAD_ATTRIBUTE(guarded_by(x))
#define SKEP_REQUIRES(x) SKEP_THREAD_ATTRIBUTE(requires_capability(x))

namespace skep {

class SKEP_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() SKEP_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() SKEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  bool try_lock() SKEP_THREAD_ATTRIBUTE(try_acquire_capability(true)) { return mutex_.try_lock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class SKEP_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SKEP_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() SKEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits may end without a notify: always test what is waited for in a loop.
class Condition {
 public:
  void wait(Mutex& mutex) SKEP_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait(held);
    held.release();
  }
  // At most `patience`, on the system's monotonic clock.
  void wait_for(Mutex& mutex, Duration patience) SKEP_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait_for(held, patience);
    held.release();
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace skep
