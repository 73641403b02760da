// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_rows.h"

#include <boost/json.hpp>
#include <limits>

#include "base/hash.h"
#include "task/bytes.h"

namespace skep::store {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kU64Max = std::numeric_limits<std::uint64_t>::max();

std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);  // two's complement: beyond 2^63 it is negative in the database
}

template <class T>
std::int64_t ticks(const T& value) {
  if constexpr (std::is_same_v<T, Instant>)
    return value.time_since_epoch().count();
  else
    return value.count();
}

std::string encode_errors(const std::vector<AttemptError>& errors) {
  json::array list;
  for (const auto& error : errors) {
    list.push_back(json::object{{"number", error.number},
                                {"end", attempt_end_name(error.end)},
                                {"at_ns", ticks(error.at)},
                                {"worker", pg_escape(error.worker)},
                                {"message", pg_escape(error.message)}});
  }
  return json::serialize(list);
}

Result<AttemptError> decode_error(const json::value& item) {
  const auto malformed = [] { return fail(Code::kCorrupt, "an attempt's error does not parse"); };
  const auto* object = item.if_object();
  if (object == nullptr) return malformed();
  const auto* number = object->if_contains("number");
  const auto* at = object->if_contains("at_ns");
  const auto text = [&](std::string_view key) -> std::string_view {
    const auto* value = object->if_contains(key);
    const auto* string = value != nullptr ? value->if_string() : nullptr;
    return string != nullptr ? std::string_view(*string) : std::string_view();
  };
  if (number == nullptr || at == nullptr || !number->is_int64() || !at->is_int64()) return malformed();
  AttemptError error;
  error.number = static_cast<std::uint32_t>(number->get_int64());
  error.at = Instant(Duration(at->get_int64()));
  std::uint8_t end = 1;
  while (end <= static_cast<std::uint8_t>(AttemptEnd::kReleased) &&
         attempt_end_name(static_cast<AttemptEnd>(end)) != text("end")) {
    ++end;
  }
  if (end > static_cast<std::uint8_t>(AttemptEnd::kReleased)) return malformed();
  error.end = static_cast<AttemptEnd>(end);
  SKEP_TRY(error.worker, pg_unescape(text("worker")));
  SKEP_TRY(error.message, pg_unescape(text("message")));
  return error;
}

Result<std::vector<AttemptError>> decode_errors(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != 1) return fail(Code::kCorrupt, "jsonb of an unknown version");
  boost::system::error_code problem;
  const json::value parsed = json::parse(bytes.substr(1), problem);
  const auto* list = problem ? nullptr : parsed.if_array();
  if (list == nullptr) return fail(Code::kCorrupt, "a list is expected");
  std::vector<AttemptError> errors;
  for (const auto& item : *list) {
    SKEP_TRY(auto error, decode_error(item));
    errors.push_back(std::move(error));
  }
  return errors;
}

}  // namespace

// ---- both directions by the same verbs ----

class RowWriter {
 public:
  explicit RowWriter(PgColumns& columns) : columns_(columns.columns_) {}

  template <class T>
  void number(std::string_view, const T& value, std::uint64_t) {
    next(PgType::kInt8).add(as_signed(static_cast<std::uint64_t>(value)));
  }
  void flag(std::string_view, bool value) { next(PgType::kBool).add(value); }
  void instant(std::string_view, const Instant& value) {
    value == kNoInstant ? next(PgType::kInt8).add_null() : next(PgType::kInt8).add(ticks(value));
  }
  void duration(std::string_view, const Duration& value) { next(PgType::kInt8).add(ticks(value)); }
  void text(std::string_view, const std::string& value) { next(PgType::kText).add(pg_escape(value)); }
  void bytes(std::string_view, std::string_view value) { next(PgType::kBytea).add(value); }
  void state(std::string_view, TaskState value) { next(PgType::kText).add(state_name(value)); }
  void texts(std::string_view, const std::vector<std::string>& value) {
    std::vector<std::string> escaped;
    for (const auto& tag : value) escaped.push_back(pg_escape(tag));
    next(PgType::kText).add(pg_array_literal(escaped));
  }
  void errors(std::string_view, const std::vector<AttemptError>& value) {
    next(PgType::kText).add(encode_errors(value));
  }
  void checkpoint(const std::optional<Checkpoint>& value) {
    const Checkpoint shown = value.value_or(Checkpoint());
    number("checkpoint_iterations", shown.iterations, kU64Max);
    bytes("checkpoint_digest", shown.digest);
    instant("checkpoint_ns", shown.at);
  }

 private:
  PgArray& next(PgType type) {
    if (column_ == columns_.size()) columns_.emplace_back(type);
    return columns_[column_++];
  }
  std::vector<PgArray>& columns_;
  std::size_t column_ = 0;
};

class RowReader {
 public:
  explicit RowReader(const PgRow& row) : row_(row) {}

  template <class T>
  void number(std::string_view name, T& value, std::uint64_t max) {
    const int column = next(name);
    const auto found = pg_read_number(row_.bytes(column));
    if (!found || static_cast<std::uint64_t>(found.value()) > max) return refuse(name, "is out of its range");
    value = static_cast<T>(found.value());
  }
  void flag(std::string_view name, bool& value) { keep(name, pg_read_bool(row_.bytes(next(name))), value); }
  void instant(std::string_view name, Instant& value) {
    const int column = next(name);
    if (row_.is_null(column)) return;
    std::int64_t ns = 0;
    keep(name, pg_read_number(row_.bytes(column)), ns);
    if (ns < 0) refuse(name, "lies before 1970");
    value = Instant(Duration(ns));
  }
  void duration(std::string_view name, Duration& value) {
    std::int64_t ns = 0;
    keep(name, pg_read_number(row_.bytes(next(name))), ns);
    if (ns < 0) refuse(name, "is negative");
    value = Duration(ns);
  }
  void text(std::string_view name, std::string& value) {
    keep(name, pg_unescape(row_.bytes(next(name))), value);
  }
  void bytes(std::string_view name, std::string& value) { value = row_.bytes(next(name)); }
  void state(std::string_view name, TaskState& value) {
    const auto state = parse_state(row_.bytes(next(name)));
    if (!state) return refuse(name, "is not a state");
    value = *state;
  }
  void texts(std::string_view name, std::vector<std::string>& value) {
    keep(name, pg_read_texts(row_.bytes(next(name))), value);
    for (auto& tag : value) keep(name, pg_unescape(tag), tag);
  }
  void errors(std::string_view name, std::vector<AttemptError>& value) {
    keep(name, decode_errors(row_.bytes(next(name))), value);
  }
  void checkpoint(std::optional<Checkpoint>& value) {
    Checkpoint found;
    number("checkpoint_iterations", found.iterations, limits::kIterationsMax);
    bytes("checkpoint_digest", found.digest);
    instant("checkpoint_ns", found.at);
    if (found.iterations > 0) value = std::move(found);
  }
  const std::optional<Error>& problem() const { return problem_; }

 private:
  int next(std::string_view name) {
    if (row_.name(column_) != name) refuse(name, "stands elsewhere");
    return column_++;
  }
  void refuse(std::string_view name, std::string_view what) {
    if (!problem_) problem_ = fail(Code::kCorrupt, "column " + std::string(name) + " " + std::string(what));
  }
  template <class T>
  void keep(std::string_view name, Result<T> found, T& value) {
    if (found)
      value = std::move(found.value());
    else
      refuse(name, "does not parse");
  }
  const PgRow& row_;
  int column_ = 0;
  std::optional<Error> problem_;
};

namespace {

template <class Fields, class Id>
void list_id(Fields& f, Id& id) {
  f.number("shard", id.shard, std::numeric_limits<ShardId>::max());
  f.number("epoch", id.epoch, kU32Max);
  f.number("sequence", id.sequence, kSequenceMax);
}

template <class Fields, class Spec>
void list_spec(Fields& f, Spec& spec) {
  f.text("queue", spec.queue);
  f.text("kind", spec.kind);
  f.number("iterations", spec.iterations, limits::kIterationsMax);
  f.text("program", spec.program);
  f.number("priority", spec.priority, limits::kPriorityMax);
  f.number("attempts_max", spec.attempts_max, limits::kAttemptsMaxMax);
  f.duration("delay_ns", spec.delay);
  f.duration("start_deadline_ns", spec.start_deadline);
  f.duration("run_timeout_ns", spec.run_timeout);
  f.text("idempotency_key", spec.idempotency_key);
  f.texts("tags", spec.tags);
  f.flag("keep_checkpoints", spec.keep_checkpoints);
  f.texts("parameters", spec.parameters);
  f.text("traceparent", spec.trace.parent);
  f.text("tracestate", spec.trace.state);
}

template <class Fields, class Record>
void list_task(Fields& f, Record& r) {
  list_id(f, r.id);
  list_spec(f, r.spec);
  f.state("state", r.state);
  f.number("body_bytes", r.body_bytes, kU32Max);
  f.instant("enqueued_ns", r.enqueued_at);
  f.instant("ready_ns", r.ready_at);
  f.instant("queued_ns", r.queued_at);
  f.instant("finished_ns", r.finished_at);
  f.number("attempts_failed", r.attempts_failed, kU32Max);
  f.number("workers_lost", r.workers_lost, kU32Max);
  f.errors("errors", r.errors);
  f.text("reason", r.reason);
  f.number("lease_epoch", r.lease_epoch, kU32Max);
  f.number("lease_number", r.lease_number, kU32Max);
  f.text("worker", r.worker);
  f.instant("leased_ns", r.leased_at);
  f.instant("started_ns", r.started_at);
  f.instant("lease_expires_ns", r.lease_expires_at);
  f.number("resumed_from", r.resumed_from, limits::kIterationsMax);
  f.checkpoint(r.checkpoint);
  f.number("result_bytes", r.result_bytes, kU32Max);
  f.number("result_hash", r.result_hash, kU64Max);
  f.number("completion", r.completion, kU64Max);
  f.number("completion_epoch", r.completion_epoch, kU32Max);
  f.instant("delivered_ns", r.delivered_at);
  f.number("cpu_us", r.usage.cpu_us, kU64Max);
  f.number("memory_peak_bytes", r.usage.memory_peak_bytes, kU64Max);
}

template <class Fields, class Shard, class Record>
void list_queue(Fields& f, Shard& shard, Record& r) {
  f.number("shard", shard, std::numeric_limits<ShardId>::max());
  f.text("name", r.name);
  f.flag("is_paused", r.is_paused);
  f.number("depth_max", r.depth_max, kU64Max);
  f.number("leased_max", r.leased_max, kU64Max);
  f.duration("retention_ns", r.retention);
  f.number("retention_bytes", r.retention_bytes, kU64Max);
  f.duration("dead_retention_ns", r.dead_retention);
}

}  // namespace

void PgColumns::add(const TaskRecord& record) {
  RowWriter writer(*this);
  list_task(writer, record);
}
void PgColumns::add(ShardId shard, const QueueRecord& record) {
  RowWriter writer(*this);
  list_queue(writer, shard, record);
}
void PgColumns::add(const TaskId& id) {
  RowWriter writer(*this);
  list_id(writer, id);
}
void PgColumns::add(const TaskId& id, std::string_view bytes) {
  RowWriter writer(*this);
  list_id(writer, id);
  writer.number("checksum", blob_checksum(id, bytes), kU32Max);
  writer.bytes("bytes", bytes);
}
std::vector<std::string> PgColumns::take() {
  std::vector<std::string> params;
  for (auto& column : columns_) params.push_back(column.take());
  columns_.clear();
  return params;
}

Result<TaskRecord> read_task_row(const PgRow& row) {
  RowReader reader(row);
  TaskRecord record;
  list_task(reader, record);
  if (reader.problem()) return with_context(*reader.problem(), "task " + record.id.to_string());
  return record;
}

Result<QueueRecord> read_queue_row(const PgRow& row) {
  RowReader reader(row);
  ShardId shard = 0;
  QueueRecord record;
  list_queue(reader, shard, record);
  if (reader.problem()) return with_context(*reader.problem(), "queue '" + record.name + "'");
  return record;
}

std::int64_t blob_checksum(const TaskId& id, std::string_view bytes) {
  std::string key;
  append_fixed(key, id.shard, 2);
  append_fixed(key, id.epoch, 4);
  append_fixed(key, id.sequence, 8);
  return crc32c(key, crc32c(bytes));
}

}  // namespace skep::store
