// SPDX-License-Identifier: Apache-2.0
// io_loop.h - the sockets of a server on a runner's thread (base/runner.h), instead of on threads of the
// server's own.
//
// Where cores are few this is what costs least: a request that is read, applied and answered by one thread
// wakes nobody and takes no contended lock.
//
// Threads:   run() on the runner's thread; wake() from any.
// Ownership: shared by the runner that runs it and the server that has its sockets in it, which is stopped
//            first.
#pragma once

#include <memory>

#include "base/runner.h"

namespace skep::http {

class IoLoop final : public RunnerLoop {
 public:
  IoLoop();
  ~IoLoop() override;
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  void run(Duration patience) override;
  void wake() override;

  struct Impl;
  Impl& impl() { return *impl_; }  // for the server alone

 private:
  const std::unique_ptr<Impl> impl_;
};

}  // namespace skep::http
