// SPDX-License-Identifier: Apache-2.0
// checkpoint_book.h - what a heartbeat says of the tasks that run, and which of their checkpoints are due.
//
// Every heartbeat tells how far each task is. The digest goes along only now and then, as the manager writes
// it to its store.
//
// Threads:   value; one executor at a time.
// Errors:    none; a heartbeat that failed is as if its checkpoints had not been sent.
// Units:     base/time.h types.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/time.h"
#include "worker/hash_core.h"

namespace skep::worker {

class CheckpointBook {
 public:
  explicit CheckpointBook(Duration interval) : interval_(interval) {}

  // The threads were given a task.
  void begin(const api::v1::Lease& lease, Instant now) {
    due_.emplace(lease.lease(), lease.keep_checkpoints() ? add_saturated(now, interval_) : kNever);
  }
  // They have it no more.
  void forget(const std::string& lease) { due_.erase(lease); }

  // Completes a heartbeat that lists all leases: which have begun, how far they are, and what is due of it.
  void fill(api::v1::HeartbeatRequest& request, const std::vector<HashProgress>& progress, Instant now) {
    std::map<std::string, const compute::Checkpoint*> begun;
    for (const auto& item : progress) begun.emplace(item.lease, &item.at);
    for (auto& lease : *request.mutable_leases()) {
      const auto due = due_.find(lease.lease());
      if (due == due_.end()) continue;
      const auto place = begun.find(lease.lease());
      // What the loop has started may still wait for a lane.
      lease.set_started(place != begun.end());
      if (place == begun.end()) continue;
      lease.set_iterations_done(place->second->iterations_done);
      if (now < due->second) continue;
      set_checkpoint(lease, *place->second);
      sent_.emplace(lease.lease(), add_saturated(now, interval_));
    }
  }
  // The heartbeat was answered, or failed.
  void settle(bool is_answered) {
    for (const auto& [lease, next] : sent_) {
      const auto due = due_.find(lease);
      if (is_answered && due != due_.end()) due->second = next;
    }
    sent_.clear();
  }

 private:
  Duration interval_;
  std::map<std::string, Instant>
      due_;  // the next one of each lease that the threads have; kNever: not wanted
  std::map<std::string, Instant> sent_;  // with the heartbeat under way: when the one after it is due
};

}  // namespace skep::worker
