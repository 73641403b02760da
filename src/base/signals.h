// SPDX-License-Identifier: Apache-2.0
// signals.h - signals as something to wait for, in place of handlers.
//
// Threads:   make the SignalWaiter before any other thread, so that all inherit its mask.
//            wait() and wait_for() from one thread at a time; interrupt() from any thread.
// Ownership: owns two descriptors. The destructor puts the mask of its own thread back.
#pragma once

#include <csignal>
#include <initializer_list>
#include <optional>

#include "base/time.h"

namespace skep {

class SignalWaiter {
 public:
  // From now on `signals` do nothing in this thread and the threads it starts: they wait for wait().
  explicit SignalWaiter(std::initializer_list<int> signals = {SIGTERM, SIGINT, SIGHUP});
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  // The number of the next signal, or 0 for each interrupt().
  int wait();
  // The same within `patience`; nothing once that is over.
  std::optional<int> wait_for(Duration patience);

  // Makes one wait() return 0; the next one if none is waiting.
  void interrupt();

 private:
  std::optional<int> poll_for(int patience_ms);

  sigset_t mask_before_;
  int signal_descriptor_ = -1;
  int interrupt_descriptor_ = -1;
};

// Writing to a pipe or socket without a reader is then an error (EPIPE) and does not end the process.
void ignore_broken_pipes();

// A parent may have left SIGCHLD ignored; then the system tells nobody how a child of this process ended.
void keep_ended_children();

// Gives a forked child the default handlers and an empty mask, which exec would not do for it. Between fork
// and exec only; async-signal-safe.
void reset_signals_in_child();

}  // namespace skep
