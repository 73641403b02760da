// SPDX-License-Identifier: Apache-2.0
#include "store/verify_contents.h"

#include "base/hash.h"
#include "task/record_check.h"

namespace skep::store {

std::string task_place(const TaskId& id) {
  return "task " + id.to_string();
}

void ContentsCheck::find(std::string place, std::string what) {
  if (report_.findings.size() >= options_.findings_max) {
    ++report_.findings_left_out;
    return;
  }
  report_.findings.push_back({std::move(place), std::move(what)});
}

// The file that the message names is the place.
void ContentsCheck::find(const Error& error) {
  const std::string begin = options_.directory + "/";
  const auto at = error.message.find(begin);
  if (at == std::string::npos) return find(options_.directory, error.message);
  const auto end = error.message.find_first_of(" :,;\n", at + begin.size());
  const std::string path = error.message.substr(at, end - at);
  if (at == 0 && end != std::string::npos) {
    return find(path, error.message.substr(error.message.find_first_not_of(" :", end)));
  }
  find(path, error.message);
}

void ContentsCheck::check_against_others(const TaskRecord& record) {
  if (shard_ != record.id.shard) {
    shard_ = record.id.shard;
    idempotency_keys_.clear();
    completions_.clear();
  }
  const auto check_unique = [&](auto& seen, auto key, const std::string& what) {
    const auto [at, is_new] = seen.emplace(std::move(key), record.id);
    if (!is_new) find(task_place(record.id), "it has the " + what + " of " + task_place(at->second));
  };
  if (!record.spec.idempotency_key.empty()) {
    check_unique(idempotency_keys_, std::pair(record.spec.queue, record.spec.idempotency_key),
                 "idempotency key");
  }
  if (record.state == TaskState::kDone) {
    check_unique(completions_, std::pair(record.completion_epoch, record.completion), "completion number");
  }
}

void ContentsCheck::check_queue(const std::string& place, const QueueRecord& record) {
  ++report_.queues;
  for (const auto& problem : check_record(record)) find(place, problem);
}

void ContentsCheck::check_task(const TaskId& id, const Result<TaskRecord>& decoded) {
  KeptTask& kept = tasks_[id];
  if (!decoded) return find(task_place(id), decoded.error().message);
  const TaskRecord& record = decoded.value();
  if (record.id != id) return find(task_place(id), "the record is of " + task_place(record.id));
  ++report_.tasks;
  ++report_.tasks_by_state[static_cast<std::size_t>(record.state)];
  kept.is_readable = true;
  kept.is_done = record.state == TaskState::kDone;
  kept.is_over = kept.is_done || record.state == TaskState::kCancelled;
  kept.body_bytes = record.body_bytes;
  kept.result_bytes = record.result_bytes;
  kept.result_hash = record.result_hash;
  for (const auto& problem : check_record(record, epoch_of(id.shard))) find(task_place(id), problem);
  check_against_others(record);
}

void ContentsCheck::check_blob(BlobKind kind, const TaskId& id, const Result<std::string>& blob,
                               bool may_be_unread) {
  const bool is_body = kind == BlobKind::kBody;
  const std::string name = is_body ? "body" : "result";
  const std::uint64_t bytes = blob ? blob.value().size() : 0;
  ++(is_body ? report_.bodies : report_.results);
  (is_body ? report_.body_bytes : report_.result_bytes) += bytes;
  if (!blob) find(task_place(id), "its " + name + ": " + blob.error().message);
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) {
    if (!may_be_unread) find(task_place(id), "a " + name + " is there and no record");
    return;
  }
  KeptTask& kept = found->second;
  (is_body ? kept.has_body : kept.has_result) = true;
  if (!kept.is_readable) return;
  if (!is_body && !kept.is_done) find(task_place(id), "a result is there and it is not done");
  if (is_body && kept.is_over) find(task_place(id), "a body is there and it is over");
  if (!blob || (!is_body && !kept.is_done)) return;
  const std::uint64_t expected = is_body ? kept.body_bytes : kept.result_bytes;
  if (bytes != expected) {
    find(task_place(id), "its " + name + " has " + std::to_string(bytes) + " bytes, and its record says " +
                             std::to_string(expected));
  } else if (!is_body && fnv1a(blob.value()) != kept.result_hash) {
    find(task_place(id), "its result is not the one that its record has the hash of");
  }
}

}  // namespace skep::store
