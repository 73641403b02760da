// SPDX-License-Identifier: Apache-2.0
#include "worker/program.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "task/task.h"

namespace skep::worker {
namespace {

constexpr std::string_view kPathDefault = "/usr/local/bin:/usr/bin:/bin";
constexpr std::string_view kBody = "body";

std::optional<std::int64_t> read_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (true) {
    const auto at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

Error refused(const Parameter& parameter, const std::string& what) {
  return fail(Code::kInvalid, "parameter '" + parameter.name + "' " + what);
}

Result<void> check_value(const Parameter& parameter, const std::string& value) {
  if (value.size() > limits::kParameterBytesMax) return refused(parameter, "is too long");
  if (value.find('\0') != std::string::npos) return refused(parameter, "has a zero byte");
  switch (parameter.kind) {
    case Parameter::Kind::kNumber: {
      const auto number = read_number(value);
      if (number && *number >= parameter.min && *number <= parameter.max) return ok();
      return refused(parameter, "must be a whole number from " + std::to_string(parameter.min) + " to " +
                                    std::to_string(parameter.max));
    }
    case Parameter::Kind::kChoice: {
      const auto& choices = parameter.choices;
      if (std::find(choices.begin(), choices.end(), value) != choices.end()) return ok();
      std::string listed;
      for (const auto& choice : choices) listed += (listed.empty() ? "" : ", ") + choice;
      return refused(parameter, "must be one of " + listed);
    }
    case Parameter::Kind::kWord:
      if (validate_name("", value) && value != "." && value != "..") return ok();
      return refused(parameter, "must be 1 to 64 characters of a-z A-Z 0-9 . _ - :");
    case Parameter::Kind::kText:
      if (std::none_of(value.begin(), value.end(), is_control)) return ok();
      return refused(parameter, "has a control character");
    case Parameter::Kind::kAny:
      return ok();
  }
  return ok();
}

// Kinds whose values may be taken for an option of the program.
bool may_be_an_option(const Parameter& parameter) {
  return parameter.kind == Parameter::Kind::kWord || parameter.kind == Parameter::Kind::kText;
}

using Values = std::map<std::string, std::string>;

Result<std::string> fill_in_one(const Program& program, const std::string& argument, const Values& values) {
  std::string out;
  for (std::size_t at = 0; at < argument.size();) {
    const auto close = argument[at] == '{' ? argument.find('}', at) : std::string::npos;
    const auto found =
        close == std::string::npos ? values.end() : values.find(argument.substr(at + 1, close - at - 1));
    if (found == values.end()) {
      out += argument[at++];
      continue;
    }
    if (out.empty() && found->second.starts_with('-')) {
      for (const auto& parameter : program.parameters) {
        if (parameter.name != found->first || !may_be_an_option(parameter)) continue;
        return refused(parameter, "begins with a dash, which the program would take for an option");
      }
    }
    out += found->second;
    at = close + 1;
  }
  return out;
}

bool has_placeholder(const Program& program, const std::string& argument) {
  if (program.is_body_file && argument.find("{" + std::string(kBody) + "}") != std::string::npos) return true;
  return std::any_of(program.parameters.begin(), program.parameters.end(), [&](const Parameter& parameter) {
    return argument.find("{" + parameter.name + "}") != std::string::npos;
  });
}

// The argument after it is a script: a value in there would be code.
bool takes_script(const std::string& path, const std::string& option) {
  static const std::set<std::string> kInterpreters{"sh",      "bash",   "dash", "ash",  "zsh",  "ksh", "fish",
                                                   "python3", "python", "perl", "ruby", "node", "php", "lua"};
  const std::string name = path.substr(path.rfind('/') + 1);
  const bool is_script = option.size() >= 2 && option[0] == '-' && option[1] != '-' &&
                         option.find_first_of("cer") != std::string::npos;
  return is_script && kInterpreters.contains(name);
}

bool is_executable(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> find_executable(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    std::error_code problem;
    std::string path = std::filesystem::absolute(name, problem).string();
    return !problem && is_executable(path) ? std::optional(path) : std::nullopt;
  }
  const std::string path = search_path();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    // A relative entry of PATH would mean another place in the task's own directory.
    if (candidate.starts_with('/') && is_executable(candidate)) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return std::nullopt;
}

}  // namespace

std::string search_path() {
  const char* path = getenv("PATH");
  return path == nullptr ? std::string(kPathDefault) : path;
}

Result<Parameter> parse_parameter(const std::string& text) {
  const auto malformed = [&] {
    return fail(Code::kInvalid, "'" + text +
                                    "' declares no parameter: use NAME=1..100, NAME=one|other, NAME=word, "
                                    "NAME=text or NAME=any");
  };
  const auto equals = text.find('=');
  if (equals == std::string::npos) return malformed();
  Parameter parameter;
  parameter.name = text.substr(0, equals);
  const std::string kind = text.substr(equals + 1);
  SKEP_TRY(validate_name("the name of a parameter", parameter.name));
  if (parameter.name == kBody)
    return fail(Code::kInvalid, "a parameter can not be called body: {body} is the body's file");
  if (kind == "word" || kind == "text" || kind == "any") {
    parameter.kind = kind == "word"   ? Parameter::Kind::kWord
                     : kind == "text" ? Parameter::Kind::kText
                                      : Parameter::Kind::kAny;
    return parameter;
  }
  if (kind.find('|') != std::string::npos) {
    parameter.kind = Parameter::Kind::kChoice;
    parameter.choices = split(kind, '|');
    return parameter;
  }
  const auto dots = kind.find("..");
  if (dots == std::string::npos) return malformed();
  const auto min = read_number(std::string_view(kind).substr(0, dots));
  const auto max = read_number(std::string_view(kind).substr(dots + 2));
  if (!min || !max || *min > *max) return malformed();
  parameter.kind = Parameter::Kind::kNumber;
  parameter.min = *min;
  parameter.max = *max;
  return parameter;
}

Result<ExitCodes::List> parse_exit_codes(std::string_view text) {
  ExitCodes::List list;
  for (const auto& part : split(text, ',')) {
    const auto dash = part.find('-');
    const auto first = read_number(std::string_view(part).substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : read_number(std::string_view(part).substr(dash + 1));
    if (!first || !last || *first < 0 || *last > 255 || *first > *last) {
      return fail(Code::kInvalid, "'" + std::string(text) + "' is no list of exit codes, such as 0,2-5");
    }
    for (auto code = *first; code <= *last; ++code) list.set(static_cast<std::size_t>(code));
  }
  return list;
}

Result<void> validate(const std::string& name, const Program& program) {
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kInvalid, "program " + name + ": " + what);
  };
  const auto& arguments = program.arguments;
  SKEP_TRY(validate_name("the name of a program", name));
  if (arguments.empty() || arguments[0].empty()) return wrong("there is no executable file named");
  if (has_placeholder(program, arguments[0]))
    return wrong("a client may not say what runs: its path has a parameter");
  std::set<std::string> names;
  for (const auto& parameter : program.parameters) {
    if (!names.insert(parameter.name).second)
      return wrong("parameter " + parameter.name + " is declared twice");
    const bool is_used = std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
      return argument.find("{" + parameter.name + "}") != std::string::npos;
    });
    if (!is_used) return wrong("no argument has {" + parameter.name + "}, which is declared");
  }
  for (std::size_t i = 1; i + 1 < arguments.size(); ++i) {
    if (!takes_script(arguments[0], arguments[i]) || !has_placeholder(program, arguments[i + 1])) continue;
    return wrong("a parameter within the script of " + arguments[i] +
                 " would be run: give it as an argument of its own, as in sh -c 'echo \"$1\"' x {name}");
  }
  const auto both = (program.exit_codes.success & program.exit_codes.permanent) |
                    (program.exit_codes.success & program.exit_codes.retried) |
                    (program.exit_codes.permanent & program.exit_codes.retried);
  if (both.any()) return wrong("an exit code stands in two lists");
  return ok();
}

Result<std::vector<std::string>> fill_in(const Program& program, const std::vector<std::string>& given,
                                         const std::string& body_path) {
  Values values;
  if (program.is_body_file) values.emplace(kBody, body_path);
  for (const auto& text : given) {
    const auto equals = std::min(text.find('='), text.size());
    const std::string name = text.substr(0, equals);
    const auto declared = std::find_if(program.parameters.begin(), program.parameters.end(),
                                       [&](const Parameter& parameter) { return parameter.name == name; });
    if (declared == program.parameters.end())
      return fail(Code::kInvalid, "the program has no parameter '" + name + "'");
    const std::string value = equals < text.size() ? text.substr(equals + 1) : "";
    SKEP_TRY(check_value(*declared, value));
    values[name] = value;
  }
  for (const auto& parameter : program.parameters) {
    if (!values.contains(parameter.name)) return refused(parameter, "is missing");
  }
  std::vector<std::string> out;
  for (const auto& argument : program.arguments) {
    SKEP_TRY(auto filled, fill_in_one(program, argument, values));
    out.push_back(std::move(filled));
  }
  return out;
}

Result<Programs> resolve(Programs programs) {
  for (auto& [name, program] : programs) {
    SKEP_TRY(validate(name, program));
    const auto path = find_executable(program.arguments[0]);
    if (!path) {
      return fail(Code::kInvalid,
                  "program " + name + ": there is no executable file \"" + program.arguments[0] + "\"");
    }
    program.arguments[0] = *path;
    if (std::error_code ignored; program.directory == ".")
      program.directory = std::filesystem::current_path(ignored).string();
  }
  return programs;
}

}  // namespace skep::worker
