// SPDX-License-Identifier: Apache-2.0
// runner.h - the production executor: one thread, a queue of work, a heap of timers; where wanted, a loop of
// events of the system beside them (RunnerLoop), so that what comes from a socket runs on the same thread as
// what is posted.
//
// Threads:   see executor.h; stop() from any thread but its own; now() from any thread.
//            A timer call from a foreign thread aborts.
// Ownership: owns its thread. The destructor stops and joins; what was posted and has not run is destroyed.
//            Once stopped it drops what is posted, and cancel() does nothing.
//            Its loop is shared: it may be named elsewhere longer than the runner lives.
// Cost:      post is one short lock; the thread takes the whole queue at once, and wakes nobody if it posts
// itself.
#pragma once

#include <memory>
#include <string>

#include "base/executor.h"

namespace skep {

// What a runner's thread does while it has nothing else to do, and between two rounds of posted work.
class RunnerLoop {
 public:
  virtual ~RunnerLoop() = default;
  // Handles what has happened, a bounded part of it; if nothing has, waits for something, for wake(), or for
  // `patience`. On the runner's thread.
  virtual void run(Duration patience) = 0;
  // Ends the wait of run(), or that of the next one. Any thread; must not block.
  virtual void wake() = 0;
};

class Runner final : public Executor {
 public:
  // `name`: of the thread, at most 15 characters are shown by the system. `loop`: null for none.
  Runner(const Clock& clock, std::string name, std::shared_ptr<RunnerLoop> loop = nullptr);
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
