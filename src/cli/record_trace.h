// SPDX-License-Identifier: Apache-2.0
// record_trace.h - what a manager has seen as a trace for skep simulate.
//
// Threads:   the main thread; waits for the manager.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/access.h"

namespace skep::cli {

// A trace of every finished task that the manager at `url` still knows: when it was enqueued and how long its
// last attempt ran. Tasks that have not ended are left out. kInvalid: no URL, or no task has ended there.
// kUnavailable: no manager is there.
Result<std::string> record_trace(const std::string& url, const Access& access);

}  // namespace skep::cli
