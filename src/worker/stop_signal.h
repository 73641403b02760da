// SPDX-License-Identifier: Apache-2.0
// stop_signal.h - how a thread is told to give up the task that it runs.
//
// A descriptor and not a flag, so that a thread which waits for a child process wakes up too.
//
// Threads:   raise() from any thread; the rest from the thread that runs the task, or before it runs.
// Errors:    no descriptor left when it is made: aborts, the worker has only just begun.
#pragma once

#include "worker/descriptor.h"

namespace skep::worker {

class StopSignal {
 public:
  StopSignal();

  void raise();
  void clear();
  bool is_raised() const;
  int descriptor() const { return event_.number(); }  // readable while raised

 private:
  Descriptor event_;
};

}  // namespace skep::worker
