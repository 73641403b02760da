// SPDX-License-Identifier: Apache-2.0
// log.h - one line a fact: time, level, sentence, then key=value fields.
//
// A Logger is handed down, there is no global one. It writes to stderr (stdout is for what a command prints).
//
// Threads:   any thread; copies share one sink.
// Errors:    a line that cannot be written is lost.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace skep {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kOff };

// "debug", "info", "warn", "error", "off". kInvalid otherwise.
Result<LogLevel> parse_log_level(std::string_view text);

// One key=value pair of a line. Values with blanks or quotes are quoted.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  template <class T>
  requires std::is_arithmetic_v<T> LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}

  // Stands in the line only if there is a value.
  static LogField if_any(std::string_view k, std::string_view v) { return {v.empty() ? "" : k, v}; }

  std::string_view key;  // "": not in the line
  std::string value;
};

class Logger {
 public:
  // A logger that drops everything.
  Logger() = default;
  // Writes lines of `level` and above to stderr; `name` stands in each line ("manager", "worker").
  Logger(std::string_view name, LogLevel level);

  void debug(std::string_view sentence, std::initializer_list<LogField> fields = {}) const;
  void info(std::string_view sentence, std::initializer_list<LogField> fields = {}) const;
  void warn(std::string_view sentence, std::initializer_list<LogField> fields = {}) const;
  void error(std::string_view sentence, std::initializer_list<LogField> fields = {}) const;

 private:
  struct Sink;
  void write(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields) const;
  std::shared_ptr<Sink> sink_;
};

}  // namespace skep
