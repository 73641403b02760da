// SPDX-License-Identifier: Apache-2.0
// explain.h - why a task is where it is, in one or two sentences. Pure.
//
// Threads:   any thread.
#pragma once

#include <string>

#include "queue/command.h"
#include "task/task.h"

namespace skep::manager {

struct ExplainInput {
  const TaskRecord* record = nullptr;  // not null
  Instant now{};
  std::optional<queue::RunProgress> progress;  // of the attempt that runs
  queue::QueueStatus queue;                    // the task's
  std::uint32_t workers = 0;                   // alive and not draining
  std::uint32_t workers_fit = 0;               // of these: can run this kind and program
  std::uint32_t workers_draining = 0;          // alive, and take nothing more
  std::string scaling;                         // the scaler's own words; "" if there is no scaler
  double work_seconds = 0;                     // what it should take of one slot, by what its class took;
  std::uint64_t work_seen = 0;                 // by so many tasks of its queue, kind and program; 0: by none
};

std::string explain_task(const ExplainInput& input);

}  // namespace skep::manager
