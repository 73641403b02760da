// SPDX-License-Identifier: Apache-2.0
// executor_sha512.h - runs one task of kind sha512 on the thread that calls.
//
// Threads:   one engine, one thread.
// Errors:    a task that can not be run is a failed outcome.
// Units:     progress is in iterations.
// Cost:      looks at clock and stop signal every few milliseconds.
#pragma once

#include <functional>
#include <optional>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "compute/engine.h"
#include "worker/stop_signal.h"

namespace skep::worker {

// Success: the result in 128 hexadecimal digits. Nothing: it was stopped. `progress` is told the iterations
// done, now and then.
std::optional<api::v1::Outcome> run_sha512(api::v1::Lease lease, compute::Engine& engine, const Clock& clock,
                                           const StopSignal& stop,
                                           const std::function<void(std::uint64_t)>& progress);

}  // namespace skep::worker
