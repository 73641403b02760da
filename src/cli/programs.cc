// SPDX-License-Identifier: Apache-2.0
#include "cli/programs.h"

#include <charconv>
#include <functional>
#include <map>
#include <utility>

#include "task/task.h"

namespace skep::cli {
namespace {

using Words = std::vector<std::string>;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The words of each of the programs.
Result<std::vector<Words>> split(const std::string& text) {
  std::vector<Words> parts(1);
  std::string word;
  bool has_word = false;  // "" is one
  char quote = 0;
  const auto end_word = [&] {
    if (has_word) parts.back().push_back(std::exchange(word, {}));
    has_word = false;
  };
  for (const char c : text) {
    if (quote != 0 ? c == quote : c == '"' || c == '\'') {
      quote = quote != 0 ? 0 : c;
      has_word = true;
    } else if (quote == 0 && (is_blank(c) || c == ';')) {
      end_word();
      if (c == ';') parts.emplace_back();
    } else {
      word += c;
      has_word = true;
    }
  }
  if (quote != 0)
    return fail(Code::kInvalid, "'" + text + "' has a quote (" + std::string(1, quote) + ") without an end");
  end_word();
  return parts;
}

// ---- settings of a program ----

using Set = std::function<Result<void>(worker::Program&, const std::string&)>;

Set duration_into(Duration worker::ProgramLimits::*field) {
  return [field](worker::Program& program, const std::string& value) -> Result<void> {
    SKEP_TRY(program.limits.*field, parse_duration(value));
    return ok();
  };
}

Set bytes_into(std::uint64_t worker::ProgramLimits::*field) {
  return [field](worker::Program& program, const std::string& value) -> Result<void> {
    SKEP_TRY(program.limits.*field, parse_bytes(value));
    return ok();
  };
}

Set codes_into(worker::ExitCodes::List worker::ExitCodes::*field) {
  return [field](worker::Program& program, const std::string& value) -> Result<void> {
    SKEP_TRY(program.exit_codes.*field, worker::parse_exit_codes(value));
    return ok();
  };
}

// `yes` or `no`, or what files write for them.
Set choice_into(bool worker::Program::*field, const std::string& yes, const std::string& no) {
  return [=](worker::Program& program, const std::string& value) -> Result<void> {
    const bool is_yes = value == yes || (yes == "on" && value == "true");
    const bool is_no = value == no || (no == "off" && value == "false");
    if (!is_yes && !is_no) return fail(Code::kInvalid, "'" + value + "' is neither " + yes + " nor " + no);
    program.*field = is_yes;
    return ok();
  };
}

Result<void> set_processes(worker::Program& program, const std::string& value) {
  std::uint32_t number = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (problem != std::errc() || end != value.data() + value.size() || number == 0)
    return fail(Code::kInvalid, "'" + value + "' is no number of processes, from 1");
  program.limits.processes = number;
  return ok();
}

Result<void> set_output(worker::Program& program, const std::string& value) {
  SKEP_TRY(const auto bytes, parse_bytes(value));
  if (bytes == 0 || bytes > limits::kResultBytesMax) {
    return fail(Code::kInvalid, "'" + value + "' is no limit of a result: at most " +
                                    describe_bytes(limits::kResultBytesMax));
  }
  program.limits.output_bytes = bytes;
  return ok();
}

Result<void> add_parameter(worker::Program& program, const std::string& value) {
  SKEP_TRY(auto parameter, worker::parse_parameter(value));
  program.parameters.push_back(std::move(parameter));
  return ok();
}

Result<void> set_directory(worker::Program& program, const std::string& value) {
  if (value != "." && !value.starts_with('/'))
    return fail(Code::kInvalid, "'" + value + "' is neither . nor begins with /");
  program.directory = value;
  return ok();
}

const std::map<std::string, Set>& settings() {
  using worker::ExitCodes;
  using worker::Program;
  using worker::ProgramLimits;
  static const std::map<std::string, Set> kSettings{
      {"body", choice_into(&Program::is_body_file, "file", "stdin")},
      {"cpu", duration_into(&ProgramLimits::cpu)},
      {"directory", set_directory},
      {"environment", choice_into(&Program::inherits_environment, "inherit", "own")},
      {"grace", duration_into(&ProgramLimits::grace)},
      {"memory", bytes_into(&ProgramLimits::memory_bytes)},
      {"network", choice_into(&Program::has_network, "on", "off")},
      {"output", set_output},
      {"parameter", add_parameter},
      {"permanent", codes_into(&ExitCodes::permanent)},
      {"processes", set_processes},
      {"report", choice_into(&Program::is_reported, "on", "off")},
      {"retry", codes_into(&ExitCodes::retried)},
      {"success", codes_into(&ExitCodes::success)},
      {"time", duration_into(&ProgramLimits::time)},
  };
  return kSettings;
}

struct Option {
  std::string program;
  std::string key;
  std::string value;
};

Result<std::vector<Option>> parse_options(const std::string& text) {
  std::vector<Option> out;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(';', at), text.size());
    const std::string part = text.substr(at, end - at);
    at = end + 1;
    if (part.empty() && !out.empty()) continue;
    const auto equals = part.find('=');
    const auto dot = part.rfind('.', equals);
    if (equals == std::string::npos || dot == std::string::npos || dot == 0)
      return fail(Code::kInvalid, "'" + part + "' is not NAME.KEY=VALUE, such as thumb.memory=256MiB");
    out.push_back({part.substr(0, dot), part.substr(dot + 1, equals - dot - 1), part.substr(equals + 1)});
  }
  return out;
}

Result<void> set_option(const Option& option, worker::Program& program) {
  const auto found = settings().find(option.key);
  if (found == settings().end()) {
    std::string known;
    for (const auto& [key, set] : settings()) known += (known.empty() ? "" : ", ") + key;
    return fail(Code::kInvalid,
                option.program + "." + option.key + ": there is no such setting of a program: use " + known);
  }
  const auto set = found->second(program, option.value);
  if (!set) return with_context(set.error(), option.program + "." + option.key);
  return ok();
}

}  // namespace

std::string quote_program(const NamedProgram& program) {
  std::string out = program.name + "=";
  bool is_first = true;
  for (const auto& argument : program.arguments) {
    if (!std::exchange(is_first, false)) out += ' ';
    out += "''";  // also an empty argument is one
    for (std::size_t at = 0; at < argument.size();) {
      const char quote = argument[at] == '\'' ? '"' : '\'';
      const auto end = std::min(argument.find(quote, at), argument.size());
      out += quote + argument.substr(at, end - at) + quote;
      at = end;
    }
  }
  return out;
}

Result<void> check_program_options(const std::string& text) {
  SKEP_TRY(const auto options, parse_options(text));
  for (const auto& option : options) {
    worker::Program ignored;
    SKEP_TRY(set_option(option, ignored));
  }
  return ok();
}

Result<void> set_program_options(const std::string& text, worker::Programs& programs) {
  SKEP_TRY(const auto options, parse_options(text));
  for (const auto& option : options) {
    const auto found = programs.find(option.program);
    if (found == programs.end()) {
      return fail(Code::kInvalid, option.program + "." + option.key + ": no program '" + option.program +
                                      "' is listed: name it with --command " + option.program + "=PROGRAM");
    }
    SKEP_TRY(set_option(option, found->second));
  }
  return ok();
}

Result<worker::Programs> read_programs(const std::vector<std::string>& commands,
                                       const std::vector<std::string>& options) {
  worker::Programs out;
  for (const auto& text : commands) {
    SKEP_TRY(auto programs, parse_programs(text));
    for (auto& program : programs) out[program.name] = worker::Program(std::move(program.arguments));
  }
  for (const auto& text : options) {
    SKEP_TRY(set_program_options(text, out));
  }
  for (const auto& [name, program] : out) {
    SKEP_TRY(worker::validate(name, program));
  }
  return out;
}

Result<std::vector<NamedProgram>> parse_programs(const std::string& text) {
  std::vector<NamedProgram> programs;
  SKEP_TRY(auto parts, split(text));
  for (auto& words : parts) {
    if (words.empty()) continue;
    NamedProgram program;
    const auto equals = words.front().find('=');
    if (equals != std::string::npos) {
      program.name = words.front().substr(0, equals);
      words.front().erase(0, equals + 1);
      if (words.front().empty()) words.erase(words.begin());
      program.arguments = std::move(words);
    }
    if (program.name.empty() || program.arguments.empty()) {
      return fail(Code::kInvalid, "'" + text +
                                      "' is not NAME=PROGRAM, such as upper='/usr/bin/tr a-z A-Z'; " +
                                      "an argument with blanks or semicolons needs quotes of its own");
    }
    SKEP_TRY(validate_name("the name of a program", program.name));
    programs.push_back(std::move(program));
  }
  if (programs.empty()) return fail(Code::kInvalid, "'" + text + "' names no program");
  return programs;
}

}  // namespace skep::cli
