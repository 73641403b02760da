// SPDX-License-Identifier: Apache-2.0
// mutex.h - a mutex that clang's thread-safety analysis understands.
//
// Only the files that ARCHITECTURE.md lists may include this; test/tidy holds that.
//
// Threads:   any thread.
#pragma once

#include <mutex>

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
  std::mutex mutex_;
};

class SKEP_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SKEP_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() SKEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace skep
