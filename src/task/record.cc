// SPDX-License-Identifier: Apache-2.0
#include "task/record.h"

#include <limits>

#include "base/hash.h"
#include "task/bytes.h"

namespace skep {
namespace {

constexpr std::size_t kChecksumBytes = 4;
// The second byte of a record says what it is, so that one under the wrong key is noticed.
constexpr char kTaskTag = 'T';
constexpr char kQueueTag = 'Q';

// What clients may say is bounded by task/limits.h already; these hold for what is put together from it.
constexpr std::size_t kTextBytesMax = 65'535;
constexpr std::size_t kParameterBytesMax = limits::kNameBytesMax + 1 + limits::kParameterBytesMax;
constexpr std::uint64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kU64Max = std::numeric_limits<std::uint64_t>::max();
// Blobs are single values of the engines.
constexpr std::uint64_t kBlobBytesMax = kU32Max;

// Each function below lists the fields of a record once; `Fields` is a FieldWriter or a FieldReader.

template <class Fields, class Id>
void list_fields_of_id(Fields& f, Id& id) {
  f.number("shard", id.shard, 0, std::numeric_limits<ShardId>::max());
  f.number("epoch", id.epoch, 0, kU32Max);
  f.number("sequence", id.sequence, 0, kSequenceMax);
}

template <class Fields, class Spec>
void list_fields_of_spec(Fields& f, Spec& spec) {
  f.text("queue", spec.queue, limits::kNameBytesMax);
  f.text("kind", spec.kind, limits::kNameBytesMax);
  f.number("iterations", spec.iterations, 0, limits::kIterationsMax);
  f.text("program", spec.program, limits::kNameBytesMax);
  f.number("priority", spec.priority, 0, limits::kPriorityMax);
  f.number("attempts_max", spec.attempts_max, 0, limits::kAttemptsMaxMax);
  f.duration("delay", spec.delay);
  f.duration("start_deadline", spec.start_deadline);
  f.duration("run_timeout", spec.run_timeout);
  f.text("idempotency_key", spec.idempotency_key, limits::kIdempotencyKeyBytesMax);
  f.list("tags", spec.tags, limits::kTagsMax, [&](auto& tag) { f.text("tag", tag, limits::kNameBytesMax); });
}

template <class Fields, class AttemptErrorT>
void list_fields_of_error(Fields& f, AttemptErrorT& error) {
  f.number("error.number", error.number, 0, kU32Max);
  f.number("error.end", error.end, 1, static_cast<std::uint64_t>(AttemptEnd::kReleased));
  f.instant("error.at", error.at);
  f.text("error.worker", error.worker, kTextBytesMax);
  f.text("error.message", error.message, kTextBytesMax);
}

template <class Fields, class CheckpointT>
void list_fields_of_checkpoint(Fields& f, CheckpointT& checkpoint) {
  f.number("checkpoint.iterations", checkpoint.iterations, 1, limits::kIterationsMax);
  f.text("checkpoint.digest", checkpoint.digest, limits::kCheckpointBytes);
  f.instant("checkpoint.at", checkpoint.at);
}

template <class Fields, class Record>
void list_fields_of_task(Fields& f, Record& record, std::uint8_t version) {
  list_fields_of_id(f, record.id);
  list_fields_of_spec(f, record.spec);
  f.number("state", record.state, 1, static_cast<std::uint64_t>(TaskState::kCancelled));
  f.number("body_bytes", record.body_bytes, 0, kBlobBytesMax);
  f.instant("enqueued_at", record.enqueued_at);
  f.instant("ready_at", record.ready_at);
  f.instant("queued_at", record.queued_at);
  f.instant("finished_at", record.finished_at);
  f.number("attempts_failed", record.attempts_failed, 0, kU32Max);
  f.number("workers_lost", record.workers_lost, 0, kU32Max);
  f.list("errors", record.errors, limits::kErrorsKept, [&](auto& error) { list_fields_of_error(f, error); });
  f.text("reason", record.reason, kTextBytesMax);
  f.number("lease_epoch", record.lease_epoch, 0, kU32Max);
  f.number("lease_number", record.lease_number, 0, kU32Max);
  f.text("worker", record.worker, kTextBytesMax);
  f.instant("leased_at", record.leased_at);
  f.instant("started_at", record.started_at);
  f.instant("lease_expires_at", record.lease_expires_at);
  f.number("result_bytes", record.result_bytes, 0, kBlobBytesMax);
  f.fixed64("result_hash", record.result_hash);
  f.number("completion", record.completion, 0, kU64Max);
  f.number("completion_epoch", record.completion_epoch, 0, kU32Max);
  f.instant("delivered_at", record.delivered_at);
  if (version < 2) return;
  f.flag("keep_checkpoints", record.spec.keep_checkpoints);
  f.number("resumed_from", record.resumed_from, 0, limits::kIterationsMax);
  f.optional("checkpoint", record.checkpoint,
             [&](auto& checkpoint) { list_fields_of_checkpoint(f, checkpoint); });
  if (version < 3) return;
  f.list("parameters", record.spec.parameters, limits::kParametersMax,
         [&](auto& parameter) { f.text("parameter", parameter, kParameterBytesMax); });
  f.number("cpu_us", record.usage.cpu_us, 0, kU64Max);
  f.number("memory_peak_bytes", record.usage.memory_peak_bytes, 0, kU64Max);
  if (version < 4) return;
  f.text("traceparent", record.spec.trace.parent, limits::kTraceParentBytes);
  f.text("tracestate", record.spec.trace.state, limits::kTraceStateBytesMax);
}

template <class Fields, class Record>
void list_fields_of_queue(Fields& f, Record& record) {
  f.text("name", record.name, limits::kNameBytesMax);
  f.flag("is_paused", record.is_paused);
  f.number("depth_max", record.depth_max, 0, kU64Max);
  f.number("leased_max", record.leased_max, 0, kU64Max);
  f.duration("retention", record.retention);
  f.number("retention_bytes", record.retention_bytes, 0, kU64Max);
  f.duration("dead_retention", record.dead_retention);
}

std::string key_bytes(const TaskId& task) {
  std::string key;
  append_fixed(key, task.shard, 2);
  append_fixed(key, task.epoch, 4);
  append_fixed(key, task.sequence, 8);
  return key;
}

Error corrupt(std::string_view what, std::string_view problem) {
  return fail(Code::kCorrupt, std::string(what) + ": " + std::string(problem));
}

// Version first and checksum last hold for every version, so that a newer record is told from a damaged one.
struct Frame {
  std::uint8_t version = 0;
  std::string_view bytes;  // between version and checksum
};

// `newest`: the last version that is understood. `suffix` is under the checksum without being stored.
Result<Frame> open_frame(std::string_view what, std::string_view bytes, std::uint8_t newest,
                         std::string_view suffix) {
  if (bytes.size() < 1 + kChecksumBytes) {
    return corrupt(what, "it is cut off: " + std::to_string(bytes.size()) + " bytes are left");
  }
  const auto covered = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (crc32c(suffix, crc32c(covered)) != read_fixed(bytes.substr(covered.size()))) {
    return corrupt(what, "its checksum does not match");
  }
  const auto version = static_cast<std::uint8_t>(bytes[0]);
  if (version > newest) {
    return corrupt(what, "it has format version " + std::to_string(version) +
                             " and this program reads up to " + std::to_string(newest) +
                             ": a newer skep wrote it, use that one");
  }
  if (version == 0) return corrupt(what, "format version 0 does not exist");
  return Frame{version, covered.substr(1)};
}

template <class List, class Record>
void encode_record(const Record& record, char tag, List list, std::string& out) {
  const std::size_t begin = out.size();
  out.push_back(static_cast<char>(kRecordVersion));
  out.push_back(tag);
  FieldWriter writer(out);
  list(writer, record, kRecordVersion);
  append_fixed(out, crc32c(std::string_view(out).substr(begin)), kChecksumBytes);
}

template <class Record, class List>
Result<Record> decode_record(std::string_view what, std::string_view bytes, char tag, List list) {
  SKEP_TRY(const Frame frame, open_frame(what, bytes, kRecordVersion, {}));
  if (frame.bytes.empty() || frame.bytes[0] != tag) return corrupt(what, "it is a record of another kind");
  FieldReader reader(frame.bytes.substr(1));
  Record record;
  list(reader, record, frame.version);
  reader.finish();
  if (reader.has_failed()) return corrupt(what, reader.problem());
  return record;
}

}  // namespace

void encode(const TaskRecord& record, std::string& out) {
  encode_record(
      record, kTaskTag, [](auto& f, auto& r, std::uint8_t version) { list_fields_of_task(f, r, version); },
      out);
}

void encode(const QueueRecord& record, std::string& out) {
  encode_record(
      record, kQueueTag, [](auto& f, auto& r, std::uint8_t) { list_fields_of_queue(f, r); }, out);
}

Result<TaskRecord> decode_task(std::string_view bytes) {
  return decode_record<TaskRecord>(
      "task record", bytes, kTaskTag,
      [](auto& f, auto& r, std::uint8_t version) { list_fields_of_task(f, r, version); });
}

Result<QueueRecord> decode_queue(std::string_view bytes) {
  return decode_record<QueueRecord>("queue record", bytes, kQueueTag,
                                    [](auto& f, auto& r, std::uint8_t) { list_fields_of_queue(f, r); });
}

void encode_blob(const TaskId& task, std::string_view bytes, std::string& out) {
  out.reserve(out.size() + bytes.size() + kBlobFrameBytes);
  out.push_back(static_cast<char>(kBlobVersion));
  out.append(bytes);
  append_fixed(out, blob_checksum(task, bytes), kChecksumBytes);
}

std::uint32_t blob_checksum(const TaskId& task, std::string_view bytes) {
  const char version = static_cast<char>(kBlobVersion);
  return crc32c(key_bytes(task), crc32c(bytes, crc32c(std::string_view(&version, 1))));
}

Result<std::string> decode_blob(const TaskId& task, std::string_view stored) {
  SKEP_TRY(const Frame frame,
           open_frame("blob of task " + task.to_string(), stored, kBlobVersion, key_bytes(task)));
  return std::string(frame.bytes);
}

Result<void> check_record_bytes(std::string_view bytes) {
  SKEP_TRY(open_frame("record", bytes, kRecordVersion, {}));
  return ok();
}

Result<void> check_blob_bytes(const TaskId& task, std::string_view stored) {
  SKEP_TRY(open_frame("blob of task " + task.to_string(), stored, kBlobVersion, key_bytes(task)));
  return ok();
}

}  // namespace skep
