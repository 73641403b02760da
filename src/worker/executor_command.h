// SPDX-License-Identifier: Apache-2.0
// executor_command.h - runs one task of kind command: a program that this worker's operator listed.
//
// The task names a program, never a path, and gives values of parameters that are declared for it. The body
// is the program's standard input or a file, its standard output is the result. It runs under a supervisor
// (worker/supervisor.h) and in an empty directory of its own, both gone when it ends, with PATH, SKEP_TASK
// and SKEP_ATTEMPT as its whole environment, and TRACEPARENT and TRACESTATE where its task is part of a
// trace, unless its operator said otherwise (worker/program.h). Exit code
// 0 is success, 65 (EX_DATAERR) a failure that no retry can mend; any other, a signal, and a run beyond a
// limit of time are failures that are retried. The end of what it wrote to standard error goes into the
// failure's sentence.
//
// Limits hold for all processes of a task together where this worker may make cgroups; elsewhere the system's
// limits for each process have to do, and limits_in_words() says which it is.
//
// Threads:   any; each run blocks its thread.
// Errors:    a failed outcome says what was wrong.
// Ownership: no process of the task and no file is left when it returns.
#pragma once

#include <optional>
#include <string>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/result.h"
#include "worker/cgroup.h"
#include "worker/program.h"
#include "worker/stop_signal.h"

namespace skep::worker {

inline constexpr std::size_t kStderrTailBytes =
    1'900;  // leaves room for the sentence within limits::kErrorBytesMax
// Of a RunReport: what its other fields may take of a result.
inline constexpr std::size_t kReportBytes = std::size_t{64} << 10;
inline constexpr std::size_t kReportErrorsBytes = std::size_t{32} << 10;

// Where programs run.
struct CommandPlace {
  // NOLINTNEXTLINE(google-explicit-constructor): tests know nothing but a directory.
  CommandPlace(std::string d, CgroupPlace g = {}) : directory(std::move(d)), groups(std::move(g)) {}

  std::string directory;  // where working directories are made
  CgroupPlace groups;
};

// What holds the limits of programs there, for people.
std::string limits_in_words(const CommandPlace& place);
// kInvalid: a program shall have no network, or limits that nothing here can hold.
Result<void> check_place(const Programs& programs, const CommandPlace& place);

// Nothing: it was stopped.
std::optional<api::v1::Outcome> run_command(api::v1::Lease lease, const Programs& programs,
                                            const CommandPlace& place, const Clock& clock,
                                            const StopSignal& stop);

}  // namespace skep::worker
