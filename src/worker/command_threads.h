// SPDX-License-Identifier: Apache-2.0
// command_threads.h - the threads that run tasks of kind command, one program each.
//
// Threads:   start and stop from one executor; `finished` is called on its own threads.
// Ownership: borrows the clock. The destructor stops what runs and joins.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "worker/executor_command.h"

namespace skep::worker {

class CommandThreads {
 public:
  CommandThreads(std::uint32_t count, Programs programs, CommandPlace place, const Clock& clock,
                 std::function<void(api::v1::Outcome)> finished);
  ~CommandThreads();
  CommandThreads(const CommandThreads&) = delete;
  CommandThreads& operator=(const CommandThreads&) = delete;

  void start(api::v1::Lease lease);
  // Gives the task up; its outcome may still come if it ended by itself at the same time. Whether it had
  // begun; nothing: it is not here (any more).
  std::optional<bool> stop(const std::string& lease);
  // The leases of the tasks that have begun.
  std::vector<std::string> running() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::worker
