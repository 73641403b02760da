// SPDX-License-Identifier: Apache-2.0
// postgres_values.h - values as PostgreSQL's binary protocol has them: arrays for parameters, fields of rows.
//
// Statements take one array a column and unnest them, so that a batch of any size is one statement, prepared
// once. PostgreSQL's text is UTF-8 without NUL; what skep keeps may be any bytes (the message of a worker),
// so text is escaped: a backslash is doubled, a byte that is not UTF-8 is \xHH.
//
// Threads:   any thread.
// Errors:    kCorrupt: not what this writer leaves behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace skep::store {

enum class PgType : std::uint32_t { kBool = 16, kBytea = 17, kInt8 = 20, kText = 25 };  // their numbers

// One column of a statement's rows.
class PgArray {
 public:
  explicit PgArray(PgType type);
  void add(std::int64_t value);
  void add(bool value);
  void add(std::string_view bytes);
  void add_null();
  std::size_t size() const { return size_; }
  // The array as a parameter. Once.
  std::string take();

 private:
  void begin_item(std::uint32_t bytes);
  PgType type_;
  std::uint32_t size_ = 0;
  std::string bytes_;
};

// A parameter of type bigint.
std::string pg_bigint(std::int64_t value);

// A field of a row: of smallint, integer or bigint; of boolean; of text[].
Result<std::int64_t> pg_read_number(std::string_view bytes);
Result<bool> pg_read_bool(std::string_view bytes);
Result<std::vector<std::string>> pg_read_texts(std::string_view bytes);

std::string pg_escape(std::string_view bytes);
Result<std::string> pg_unescape(std::string_view text);
// "{...}" of the texts, as they are.
std::string pg_array_literal(const std::vector<std::string>& texts);

}  // namespace skep::store
