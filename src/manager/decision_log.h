// SPDX-License-Identifier: Apache-2.0
// decision_log.h - the last decisions about tasks and workers: what each rested on, the rule, what came of
// it.
//
// Those about the size of the fleet are in the scaler's own ledger. Not stored: what a task itself has to
// tell after a restart is in its record. A task's decisions do not push out a worker's, which are few.
//
// Threads:   one executor at a time.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/decisions.pb.h"
#include "base/time.h"
#include "queue/verdict.h"

namespace skep::manager {

struct DecisionQuery {
  std::string task;         // "" is any
  std::string worker;       // "" is any
  Instant until = kNever;   // those after it are left out
  std::size_t limit = 100;  // the newest
};

class DecisionLog {
 public:
  // So many of tasks are kept, and so many of workers.
  explicit DecisionLog(std::size_t kept_max) : kept_max_(kept_max) {}

  using Inputs = std::vector<std::pair<std::string_view, std::string>>;
  void add(Instant at, queue::TaskDecision decision);
  // `kind`, `rule` and the names of inputs are constants. `outcome`: a sentence.
  void add_of_worker(Instant at, std::string worker, std::string_view kind, std::string_view rule,
                     Inputs inputs, std::string outcome);

  // The newest first.
  void fill(const DecisionQuery& query, api::v1::DecisionsReply& out) const;

 private:
  struct OfTask {
    Instant at{};
    queue::TaskDecision decision;
  };
  struct OfWorker {
    Instant at{};
    std::string worker;
    std::string_view kind;
    std::string_view rule;
    Inputs inputs;
    std::string outcome;
  };

  const std::size_t kept_max_;
  std::deque<OfTask> of_tasks_;
  std::deque<OfWorker> of_workers_;
};

// One verdict in words, with its inputs by the names of the fields of queue::VerdictInput.
void to_message(Instant at, const queue::TaskDecision& decision, api::v1::Decision& out);

// Sorts `out` by time, the newest first, and cuts it to `limit`.
void merge_decisions(std::size_t limit, api::v1::DecisionsReply& out);

}  // namespace skep::manager
