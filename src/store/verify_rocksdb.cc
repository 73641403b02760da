// SPDX-License-Identifier: Apache-2.0
// verify_rocksdb.cc - verify of the RocksDB engine: every file, then every table, around what can not be
// read.
#include "store/verify_engines.h"

#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "store/rocksdb_engine.h"
#include "store/verify_contents.h"
#include "task/record.h"

namespace skep::store {
namespace {

// Keys between these can not be read; both are exclusive. No `from`: the beginning of the table, no `to`: its
// end.
struct Gap {
  std::string from;
  std::optional<std::string> to;

  bool covers(const std::string& key) const { return key > from && (!to || key < *to); }
};

bool is_covered(const std::vector<Gap>& gaps, const std::string& key) {
  for (const Gap& gap : gaps) {
    if (gap.covers(key)) return true;
  }
  return false;
}

// The task key that is 2^power after `key`; nothing if there is none.
std::optional<std::string> key_after(std::string key, std::size_t power) {
  std::size_t at = key.size() - 1 - power / 8;
  unsigned carry = 1U << (power % 8);
  for (;; --at) {
    const unsigned sum = static_cast<unsigned char>(key[at]) + carry;
    key[at] = static_cast<char>(sum);
    carry = sum >> 8;
    if (carry == 0) return key;
    if (at == 0) return std::nullopt;
  }
}

class Verifier {
 public:
  Verifier(const VerifyOptions& options, std::optional<std::uint64_t> secret, VerifyReport& report)
      : options_(options), secret_(secret), report_(report), contents_(options, report) {}

  Result<void> run();

 private:
  Result<void> open();
  void check_data_files();
  void check_meta();
  void check_epoch(ShardId shard);
  void check_queues();
  void check_queue(std::string_view key, std::string_view value);
  void check_tasks();
  void check_blobs(BlobKind kind);
  void check_missing_blobs();

  // Reads a table whose keys are those of tasks, around what can not be read.
  using VisitTask = UniqueFunction<void(const TaskId&, std::string_view value)>;
  void read_around(Table table, VisitTask visit);
  std::optional<std::string> first_readable_after(Table table, const std::string& key);
  void report_gap(Table table, const Gap& gap, const Error& error);

  std::optional<std::uint64_t> read_number(const std::string& key);
  bool is_shard(ShardId shard) const { return shard < report_.shards; }
  void find(std::string place, std::string what) { contents_.find(std::move(place), std::move(what)); }
  void find(const Error& error) { contents_.find(error); }

  const VerifyOptions& options_;
  const std::optional<std::uint64_t> secret_;
  VerifyReport& report_;
  ContentsCheck contents_;
  std::unique_ptr<RocksdbEngine> engine_;
  std::map<Table, std::vector<Gap>> gaps_;
};

// ---- files ----

Result<void> Verifier::open() {
  Inspection inspection;
  EngineOptions engine;
  engine.directory = options_.directory;
  engine.mode = EngineMode::kReadOnly;
  engine.secret = secret_;
  engine.inspection = &inspection;
  auto opened = RocksdbEngine::open(std::move(engine), Logger());
  for (const auto& damage : inspection.damage) find(damage);
  for (const auto& cut : inspection.torn) {
    report_.notes.push_back(cut.name + " ends with " + std::to_string(cut.torn_bytes) +
                            " bytes that a crash left and nobody was promised; the next start cuts them off");
  }
  report_.was_sealed = inspection.was_sealed;
  report_.logs = inspection.logs;
  report_.log_bytes = inspection.log_bytes;
  if (!opened && opened.error().code != Code::kCorrupt) return opened.error();
  if (opened) {
    engine_ = std::move(opened.value());
  } else {
    find(opened.error());
  }
  return ok();
}

void Verifier::check_data_files() {
  const auto check = engine_->check_files();
  if (!check) return find(check.error());
  report_.data_files = check.value().files;
  report_.data_bytes = check.value().bytes;
  for (const auto& finding : check.value().findings) find(fail(Code::kCorrupt, finding));
}

// ---- meta ----

std::optional<std::uint64_t> Verifier::read_number(const std::string& key) {
  std::optional<std::uint64_t> number;
  const auto got = engine_->get(Table::kMeta, {key},
                                [&](std::size_t, std::optional<std::string_view> value) -> Result<void> {
                                  if (!value) return fail(Code::kCorrupt, "it is missing");
                                  SKEP_TRY(number, decode_meta(key, *value));
                                  return ok();
                                });
  if (!got) find(describe_key(Table::kMeta, key), got.error().message);
  return number;
}

void Verifier::check_epoch(ShardId shard) {
  const auto number = read_number(epoch_key(shard));
  const bool is_epoch = number && *number <= std::numeric_limits<Epoch>::max();
  if (number && !is_epoch) find(describe_key(Table::kMeta, epoch_key(shard)), "it is no epoch");
  // What can not be read may have been any: no record is blamed for it.
  contents_.add_epoch(is_epoch ? static_cast<Epoch>(*number) : std::numeric_limits<Epoch>::max());
}

void Verifier::check_meta() {
  const auto format = read_number(std::string(kMetaFormat));
  const auto shards = read_number(std::string(kMetaShardCount));
  if (format && *format != kStoreFormat) {
    find(describe_key(Table::kMeta, kMetaFormat), "it is " + std::to_string(*format));
  }
  if (shards && report_.shards == 0) report_.shards = static_cast<ShardId>(*shards);
  if (shards && *shards != report_.shards) {
    find(describe_key(Table::kMeta, kMetaShardCount),
         "it is " + std::to_string(*shards) + ", and skep.store says " + std::to_string(report_.shards));
  }
  for (ShardId shard = 0; shard < report_.shards; ++shard) check_epoch(shard);
  const auto scanned = engine_->scan_from(Table::kMeta, {}, [&](std::string_view key, std::string_view) {
    const auto shard = parse_epoch_key(key);
    const bool is_known = key == kMetaFormat || key == kMetaShardCount || (shard && is_shard(shard.value()));
    if (!is_known) find(describe_key(Table::kMeta, key), "it belongs to nothing");
    return Result<void>(ok());
  });
  if (!scanned) find(scanned.error());
}

// ---- queues ----

void Verifier::check_queue(std::string_view key, std::string_view value) {
  const std::string place = describe_key(Table::kQueues, key);
  const auto parsed = parse_queue_key(key);
  if (!parsed) return find(place, parsed.error().message);
  if (!is_shard(parsed.value().shard)) find(place, "there is no such shard");
  const auto record = decode_queue(value);
  if (!record) return find(place, record.error().message);
  if (record.value().name != parsed.value().name) find(place, "the record is of another queue");
  contents_.check_queue(place, record.value());
}

void Verifier::check_queues() {
  const auto scanned =
      engine_->scan_from(Table::kQueues, {}, [&](std::string_view key, std::string_view value) {
        check_queue(key, value);
        return Result<void>(ok());
      });
  if (!scanned) find(scanned.error());
}

// ---- tables of tasks ----

std::optional<std::string> Verifier::first_readable_after(Table table, const std::string& key) {
  // From inside what can not be read to behind it: doubling steps find a readable place, halving ones the
  // first.
  const auto probe = [&](const std::string& from) -> Result<std::optional<std::string>> {
    std::optional<std::string> found;
    bool is_found = false;
    const auto scanned = engine_->scan_from(table, from, [&](std::string_view at, std::string_view) {
      found = std::string(at);
      is_found = true;
      return Result<void>(fail(Code::kConflict, "one is enough"));
    });
    if (!scanned && !is_found) return scanned.error();
    return found;
  };
  const std::size_t bits = key.size() * 8;
  std::string last_bad = key;
  std::optional<std::string> found;
  std::size_t power = 0;
  for (;; ++power) {
    if (power == bits) return std::nullopt;
    const auto at = key_after(key, power);
    if (!at) return std::nullopt;
    const auto probed = probe(*at);
    if (!probed) {
      last_bad = *at;
      continue;
    }
    found = probed.value();
    break;
  }
  // The first readable key lies after last_bad, by less than 2^power.
  while (power-- > 0) {
    const auto at = key_after(last_bad, power);
    if (!at) continue;
    const auto probed = probe(*at);
    if (probed) {
      found = probed.value();
    } else {
      last_bad = *at;
    }
  }
  return found;
}

void Verifier::report_gap(Table table, const Gap& gap, const Error& error) {
  std::size_t named = 0;
  if (table != Table::kTasks) {
    for (const auto& [id, kept] : contents_.tasks()) {
      const bool is_expected = table == Table::kBodies || kept.is_done || !kept.is_readable;
      if (!is_expected || !gap.covers(task_key(id))) continue;
      ++named;
      find(task_place(id), "its " + std::string(table == Table::kBodies ? "body" : "result") +
                               " can not be read: " + error.message);
    }
  }
  if (named > 0) return;
  find("table " + std::string(table_name(table)) +
           (gap.from.empty() ? ", at its beginning" : ", after the " + describe_key(table, gap.from)),
       (gap.to ? "up to the " + describe_key(table, *gap.to) + " nothing can be read: "
               : "nothing more can be read: ") +
           error.message);
}

void Verifier::read_around(Table table, VisitTask visit) {
  std::string last;  // the last key of a task; empty: none was read
  std::string first;
  for (;;) {
    bool has_read = false;
    const auto scanned = engine_->scan_from(table, first, [&](std::string_view key, std::string_view value) {
      has_read = true;
      const auto id = parse_task_key(key);
      if (!id) {
        find("table " + std::string(table_name(table)), id.error().message);
        return Result<void>(ok());
      }
      last = key;
      if (!is_shard(id.value().shard)) find(describe_key(table, key), "there is no such shard");
      visit(id.value(), value);
      return Result<void>(ok());
    });
    if (scanned) return;
    const Gap gap{last, first_readable_after(table, last.empty() ? task_key({}) : last)};
    report_gap(table, gap, scanned.error());
    gaps_[table].push_back(gap);
    // A disk that answers differently each time must not keep this going for ever.
    if (!gap.to || (!has_read && !first.empty())) return;
    first = *gap.to;
  }
}

// ---- tasks ----

void Verifier::check_tasks() {
  read_around(Table::kTasks, [this](const TaskId& id, std::string_view value) {
    contents_.check_task(id, decode_task(value));
  });
}

// ---- bodies and results ----

void Verifier::check_blobs(BlobKind kind) {
  read_around(kind == BlobKind::kBody ? Table::kBodies : Table::kResults,
              [this, kind](const TaskId& id, std::string_view value) {
                const bool may_be_unread = is_covered(gaps_[Table::kTasks], task_key(id));
                contents_.check_blob(kind, id, decode_blob(id, value), may_be_unread);
              });
}

void Verifier::check_missing_blobs() {
  contents_.check_missing_blobs([this](BlobKind kind, const TaskId& id) {
    return is_covered(gaps_[kind == BlobKind::kBody ? Table::kBodies : Table::kResults], task_key(id));
  });
}

Result<void> Verifier::run() {
  SKEP_TRY(open());
  if (engine_ == nullptr) return ok();
  report_.was_read = true;
  check_data_files();
  check_meta();
  check_queues();
  check_tasks();
  check_blobs(BlobKind::kBody);
  check_blobs(BlobKind::kResult);
  check_missing_blobs();
  return engine_->close();
}

}  // namespace

Result<void> verify_rocksdb(const VerifyOptions& options, std::optional<std::uint64_t> secret,
                            VerifyReport& report) {
  return Verifier(options, secret, report).run();
}

}  // namespace skep::store
