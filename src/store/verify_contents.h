// SPDX-License-Identifier: Apache-2.0
// verify_contents.h - what verify holds records and blobs to, whichever engine they were read from.
//
// Threads:   value; one executor at a time.
// Ownership: borrows the options and the report, which gets what is found.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"
#include "store/verify.h"

namespace skep::store {

// What must be known of a task when its blobs are read.
struct KeptTask {
  bool is_readable = false;  // else only its key is known
  bool is_done = false;
  bool is_over = false;  // done or cancelled: its body is gone
  std::uint64_t body_bytes = 0;
  std::uint64_t result_bytes = 0;
  std::uint64_t result_hash = 0;
  bool has_body = false;
  bool has_result = false;
};

std::string task_place(const TaskId& id);

class ContentsCheck {
 public:
  ContentsCheck(const VerifyOptions& options, VerifyReport& report) : options_(options), report_(report) {}

  void find(std::string place, std::string what);
  // The file that the message names is the place.
  void find(const Error& error);

  // Of the next shard, before its tasks.
  void add_epoch(Epoch epoch) { epochs_.push_back(epoch); }
  void check_queue(const std::string& place, const QueueRecord& record);
  // By id. What can not be decoded is a finding.
  void check_task(const TaskId& id, const Result<TaskRecord>& decoded);
  // After the tasks. `may_be_unread`: the record may be among those that could not be read.
  void check_blob(BlobKind kind, const TaskId& id, const Result<std::string>& blob, bool may_be_unread);
  // After the blobs. `is_unread`: whether the blob may be among those that could not be read.
  template <class IsUnread>
  void check_missing_blobs(IsUnread is_unread) {
    for (const auto& [id, kept] : tasks_) {
      if (!kept.is_readable) continue;
      if (!kept.is_over && !kept.has_body && !is_unread(BlobKind::kBody, id)) {
        find(task_place(id), "its body is missing");
      }
      if (kept.is_done && !kept.has_result && !is_unread(BlobKind::kResult, id)) {
        find(task_place(id), "it is done and its result is missing");
      }
    }
  }

  const std::map<TaskId, KeptTask>& tasks() const { return tasks_; }

 private:
  Epoch epoch_of(ShardId shard) const { return shard < epochs_.size() ? epochs_[shard] : 0; }
  void check_against_others(const TaskRecord& record);

  const VerifyOptions& options_;
  VerifyReport& report_;
  std::vector<Epoch> epochs_;  // by shard
  std::map<TaskId, KeptTask> tasks_;

  // Of the shard that is being read.
  std::optional<ShardId> shard_;
  std::map<std::pair<std::string, std::string>, TaskId> idempotency_keys_;
  std::map<std::pair<Epoch, std::uint64_t>, TaskId> completions_;
};

}  // namespace skep::store
