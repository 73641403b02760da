// SPDX-License-Identifier: Apache-2.0
// coverage.h - what must have happened in a set of runs for it to mean anything.
//
// A simulator in which no commit is ever fenced proves nothing about fences. sim.seeds fails where one of
// these did not occur.
//
// Threads:   constants.
#pragma once

#include <string_view>

namespace skep::sim {

inline constexpr std::string_view kMustOccur[] = {
    "attempts given a checkpoint",
    "cancels told to a heartbeat that waits",
    "checkpoints handed back",
    "checkpoints stored",
    "client died before its acknowledgement",
    "commit fenced",
    "commit in flight at a crash, lost",
    "commit in flight at a crash, stored",
    "commit refused",
    "commit refused: disk full",
    "commit slow",
    "commit unknown, not written",
    "commit unknown, written",
    "core: duplicate results",
    "core: leases expired",
    "core: leases handed back",
    "core: leases of lost workers",
    "crashes set to a step",
    "dead tasks retried by hand",
    "disk full",
    "enqueue met its key again",
    "enqueue with an unknown outcome",
    "instance terminated",
    "instance up",
    "leases handed back before they had a lane",
    "leases told lost",
    "manager could not start",
    "manager crashed",
    "manager crashed in recovery",
    "manager crashed, power lost",
    "manager goes on",
    "manager hangs",
    "manager replaced",
    "manager stopped",
    "messages lost",
    "queue paused",
    "read refused",
    "requests duplicated",
    "results acknowledged",
    "results redelivered",
    "running tasks cancelled",
    "runs timed out",
    "seed results taken",
    "seed worker dies",
    "soft commits lost",
    "task dead by its infrastructure budget",
    "tasks cancelled",
    "tasks erased after their retention",
    "waits for a task that ended with it",
    "worker cut off",
    "worker cut off in one direction",
    "worker dies",
    "worker drained",
    "worker drained without trouble",
    "worker ended with its instance",
    "worker gets a signal to drain",
    "worker goes on",
    "worker hangs",
    "worker is drained by hand",
    "worker killed by its task",
};

}  // namespace skep::sim
