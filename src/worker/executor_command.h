// SPDX-License-Identifier: Apache-2.0
// executor_command.h - runs one task of kind command: a program that this worker's operator listed.
//
// The task names a program, never a path or an argument. The body is the program's standard input, its
// standard output is the result. It runs in a process group and an empty directory of its own, both gone when
// it ends, with PATH, SKEP_TASK and SKEP_ATTEMPT as its whole environment. Exit code 0 is success, 65
// (EX_DATAERR) a failure that no retry can mend; any other, a signal, and a run beyond the task's timeout are
// failures that are retried. The end of what it wrote to standard error goes into the failure's sentence.
//
// Threads:   any; each run blocks its thread.
// Errors:    a failed outcome says what was wrong.
// Ownership: no process of the group and no file is left when it returns.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/result.h"
#include "worker/stop_signal.h"

namespace skep::worker {

// Name of a program -> how it is called; the first item is its path.
using Programs = std::map<std::string, std::vector<std::string>>;

inline constexpr int kExitDataError = 65;
inline constexpr std::size_t kStderrTailBytes =
    1'900;  // leaves room for the sentence within limits::kErrorBytesMax

// `programs` with absolute paths: names without '/' are looked up in PATH. kInvalid: nothing to run is there.
Result<Programs> resolve(Programs programs);

// Nothing: it was stopped. `directory`: where working directories are made.
std::optional<api::v1::Outcome> run_command(api::v1::Lease lease, const Programs& programs,
                                            const std::string& directory, const Clock& clock,
                                            const StopSignal& stop);

}  // namespace skep::worker
