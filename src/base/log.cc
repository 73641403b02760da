// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>

namespace skep {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

constexpr std::array<std::string_view, 5> kLevelNames = {"debug", "info", "warn", "error", "off"};

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Control characters are escaped, so that no text from outside can start a line of its own or steer a
// terminal.
void append_escaped(std::string& line, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '\n':
      line += "\\n";
      return;
    case '\r':
      line += "\\r";
      return;
    case '\t':
      line += "\\t";
      return;
    default:
      break;
  }
  if (!is_control(c)) {
    line += c;
    return;
  }
  const auto byte = static_cast<unsigned char>(c);
  line += "\\x";
  line += kHex[byte >> 4];
  line += kHex[byte & 15];
}

void append_value(std::string& line, std::string_view value) {
  bool needs_quotes = value.empty();
  for (const char c : value)
    needs_quotes = needs_quotes || c == ' ' || c == '"' || c == '=' || c == '\\' || is_control(c);
  if (!needs_quotes) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    append_escaped(line, c);
  }
  line += '"';
}

}  // namespace

struct Logger::Sink {
  Sink(std::string_view n, LogLevel l)
      : name(n), logger(std::string(n), std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_level(to_spdlog(l));
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %v",
                                                                     spdlog::pattern_time_type::utc));
    logger.set_error_handler([](const std::string&) {});
  }

  const std::string name;
  spdlog::logger logger;
};

Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return fail(Code::kInvalid,
              "'" + std::string(text) + "' is not a log level: use debug, info, warn, error or off");
}

Logger::Logger(std::string_view name, LogLevel level) : sink_(std::make_shared<Sink>(name, level)) {}

void Logger::write(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields) const {
  if (!sink_ || !sink_->logger.should_log(to_spdlog(level))) return;
  std::string line(kLevelNames[static_cast<std::size_t>(level)]);
  line += ' ';
  line += sink_->name;
  line += ": ";
  for (const char c : sentence) append_escaped(line, c);
  for (const LogField& field : fields) {
    if (field.key.empty()) continue;
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  sink_->logger.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void Logger::debug(std::string_view sentence, std::initializer_list<LogField> fields) const {
  write(LogLevel::kDebug, sentence, fields);
}

void Logger::info(std::string_view sentence, std::initializer_list<LogField> fields) const {
  write(LogLevel::kInfo, sentence, fields);
}

void Logger::warn(std::string_view sentence, std::initializer_list<LogField> fields) const {
  write(LogLevel::kWarn, sentence, fields);
}

void Logger::error(std::string_view sentence, std::initializer_list<LogField> fields) const {
  write(LogLevel::kError, sentence, fields);
}

}  // namespace skep
