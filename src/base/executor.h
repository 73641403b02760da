// SPDX-License-Identifier: Apache-2.0
// executor.h - the seam behind which threads and timers stand.
//
// Code above it is callbacks on one executor. In production that is a Runner (base/runner.h: one thread); in
// the simulator it is the event heap. Whatever is posted to one executor never runs concurrently with itself.
//
// Threads:   post() from any thread; the timer calls and now() only from code that runs on the executor.
// Ownership: an executor owns what was posted until it ran; it must outlive everything that names it.
#pragma once

#include <cstdint>

#include "base/function.h"
#include "base/time.h"

namespace skep {

using TimerId = std::uint64_t;  // 0 is no timer

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;  // any thread; never goes back
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `work` on this executor, after all that was posted before. Never runs it inside the call.
  virtual void post(UniqueFunction<void()> work) = 0;

  // Runs `work` once, at `when` or as soon after as possible. kNever is allowed: it never runs.
  virtual TimerId post_at(Instant when, UniqueFunction<void()> work) = 0;

  // After this the timer's work will not run. Unknown, 0 or already run: nothing happens.
  virtual void cancel(TimerId timer) = 0;

  virtual Instant now() const = 0;
};

}  // namespace skep
