// SPDX-License-Identifier: Apache-2.0
// postgres_rows.h - records as rows: the columns of task_records and queue_settings, each listed once.
//
// The order is that of sql/put_*.sql and sql/load_*.sql; reading compares the names.
//
// Threads:   any thread.
// Errors:    kCorrupt with the column: a value outside its range, or one that does not parse.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/postgres_connection.h"
#include "store/postgres_values.h"
#include "task/task.h"

namespace skep::store {

// Columns that grow row by row and become the parameters of a statement.
class PgColumns {
 public:
  void add(const TaskRecord& record);
  void add(ShardId shard, const QueueRecord& record);
  void add(const TaskId& id);                          // shard, epoch, sequence
  void add(const TaskId& id, std::string_view bytes);  // and checksum, bytes
  std::size_t rows() const { return columns_.empty() ? 0 : columns_[0].size(); }
  std::vector<std::string> take();

 private:
  friend class RowWriter;
  std::vector<PgArray> columns_;
};

Result<TaskRecord> read_task_row(const PgRow& row);
Result<QueueRecord> read_queue_row(const PgRow& row);

// Under which a body or result is stored.
std::int64_t blob_checksum(const TaskId& id, std::string_view bytes);

}  // namespace skep::store
