// SPDX-License-Identifier: Apache-2.0
// runner.h - the production executor: one thread, a queue of work, a heap of timers.
//
// Threads:   see executor.h; stop() from any thread but its own; now() from any thread.
//            A timer call from a foreign thread aborts.
// Ownership: owns its thread. The destructor stops and joins; what was posted and has not run is destroyed.
//            Once stopped it drops what is posted, and cancel() does nothing.
// Cost:      post is one short lock; the thread takes the whole queue at once.
#pragma once

#include <memory>
#include <string>

#include "base/executor.h"

namespace skep {

class Runner final : public Executor {
 public:
  // `name`: of the thread, at most 15 characters are shown by the system.
  Runner(const Clock& clock, std::string name);
  ~Runner() override;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void post(UniqueFunction<void()> work) override;
  TimerId post_at(Instant when, UniqueFunction<void()> work) override;
  void cancel(TimerId timer) override;
  Instant now() const override;

  // Runs what is already posted, then ends the thread; timers that are not due, and what is posted from now
  // on, are dropped. Idempotent.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep
