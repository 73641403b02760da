// SPDX-License-Identifier: Apache-2.0
#include "cli/run_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/json.h"
#include "cli/programs.h"
#include "task/limits.h"
#include "task/task.h"

namespace skep::cli {
namespace {

struct Placeholder {
  const char* text;
  const char* parameter;
};
constexpr std::array<Placeholder, 6> kPlaceholders{{{"{}", "item"},
                                                    {"{.}", "stem"},
                                                    {"{/}", "name"},
                                                    {"{//}", "folder"},
                                                    {"{/.}", "base"},
                                                    {"{#}", "number"}}};

std::string name_of(const std::string& item) {
  return item.substr(item.rfind('/') + 1);
}

// Without the extension of its last part: that of "a.b/c" has none.
std::string without_extension(const std::string& item) {
  const auto dot = item.rfind('.');
  const auto slash = item.rfind('/');
  const bool has_one = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  return has_one ? item.substr(0, dot) : item;
}

std::string folder_of(const std::string& item) {
  const auto slash = item.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : item.substr(0, slash);
}

std::string value_of(const Placeholder& placeholder, const std::string& item, std::uint64_t number) {
  const std::string_view parameter = placeholder.parameter;
  if (parameter == "stem") return without_extension(item);
  if (parameter == "name") return name_of(item);
  if (parameter == "folder") return folder_of(item);
  if (parameter == "base") return without_extension(name_of(item));
  if (parameter == "number") return std::to_string(number);
  return item;
}

// `word` with each placeholder replaced by what `replace` makes of it.
template <class Replace>
std::string replaced(const std::string& word, Replace replace) {
  std::string out;
  for (std::size_t at = 0; at < word.size();) {
    const auto found =
        std::find_if(kPlaceholders.begin(), kPlaceholders.end(), [&](const Placeholder& known) {
          return word.compare(at, std::string_view(known.text).size(), known.text) == 0;
        });
    if (found == kPlaceholders.end()) {
      out += word[at++];
      continue;
    }
    out += replace(*found);
    at += std::string_view(found->text).size();
  }
  return out;
}

std::vector<Placeholder> placeholders_in(const std::vector<std::string>& command) {
  std::vector<Placeholder> out;
  for (const auto& word : command) {
    replaced(word, [&](const Placeholder& found) {
      const bool is_known = std::any_of(out.begin(), out.end(), [&](const Placeholder& known) {
        return known.parameter == found.parameter;
      });
      if (!is_known) out.push_back(found);
      return std::string();
    });
  }
  return out;
}

std::vector<std::string> with_item(std::vector<std::string> command, bool is_parallel) {
  if (is_parallel && placeholders_in(command).empty()) command.emplace_back("{}");
  return command;
}

std::string parameter_name(const Placeholder& placeholder) {
  return std::string("skep:") + placeholder.parameter;
}

Result<void> check_item(const std::string& value, std::uint64_t number) {
  const std::string which =
      "item " + std::to_string(number) + " ('" + api::to_valid_utf8(value.substr(0, 60)) + "') ";
  if (value.size() > limits::kParameterBytesMax) {
    return fail(Code::kInvalid, which + "is longer than " + std::to_string(limits::kParameterBytesMax) +
                                    " bytes, the most that an argument of a task may have");
  }
  if (api::to_valid_utf8(value) != value)
    return fail(Code::kInvalid, which + "is not UTF-8, which a task's arguments have to be: rename it");
  return ok();
}

}  // namespace

Result<RunWords> parse_run_words(const std::vector<std::string>& words) {
  RunWords out;
  const auto marks = std::find(words.begin(), words.end(), ":::");
  out.plan.command.assign(words.begin(), marks);
  out.has_items = marks != words.end();
  if (out.has_items) out.plan.items.assign(marks + 1, words.end());
  if (out.plan.command.empty() || out.plan.command[0].empty()) {
    return fail(Code::kInvalid,
                "say what to run behind --, as in skep run --parallel -- sha256sum {} ::: /etc/hostname");
  }
  if (std::find(out.plan.items.begin(), out.plan.items.end(), ":::") != out.plan.items.end())
    return fail(Code::kInvalid, "there is more than one :::, and skep run takes one list of items");
  const std::vector<std::string> program{out.plan.command[0]};
  if (!placeholders_in(program).empty())
    return fail(Code::kInvalid, "the program itself can not be a placeholder: name it, or run sh -c");
  return out;
}

std::vector<std::string> split_items(const std::string& text, char separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(separator, at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

OwnProgram make_own_program(const std::vector<std::string>& command, bool is_parallel) {
  const auto words = with_item(command, is_parallel);
  NamedProgram program{kOwnProgram, {}};
  for (const auto& word : words) {
    program.arguments.push_back(
        replaced(word, [](const Placeholder& found) { return "{" + parameter_name(found) + "}"; }));
  }
  const std::string name = kOwnProgram;
  OwnProgram out{quote_program(program),
                 {name + ".report=on", name + ".environment=inherit", name + ".directory=."}};
  for (const auto& placeholder : placeholders_in(words))
    out.options.push_back(name + ".parameter=" + parameter_name(placeholder) + "=any");
  return out;
}

Result<std::vector<std::string>> own_parameters(const std::vector<std::string>& command,
                                                const std::string& item, std::uint64_t number,
                                                bool is_parallel) {
  std::vector<std::string> out;
  for (const auto& placeholder : placeholders_in(with_item(command, is_parallel))) {
    std::string value = value_of(placeholder, item, number);
    SKEP_TRY(check_item(value, number));
    out.push_back(parameter_name(placeholder) + "=" + value);
  }
  return out;
}

Result<FleetProgram> parse_fleet_program(const std::vector<std::string>& command) {
  FleetProgram out;
  out.name = command[0];
  SKEP_TRY(validate_name("the name of a program that workers list", out.name));
  bool has_placeholder = false;
  for (std::size_t i = 1; i < command.size(); ++i) {
    if (command[i] == "{}") {
      out.has_body = true;
      continue;
    }
    const auto equals = command[i].find('=');
    if (equals == std::string::npos || !validate_name("", command[i].substr(0, equals))) {
      return fail(Code::kInvalid,
                  "'" + command[i] + "' is neither {} nor NAME=VALUE: a fleet runs '" + out.name +
                      "' with the arguments that its workers' operator wrote, and takes values "
                      "of declared parameters from you");
    }
    has_placeholder = has_placeholder || !placeholders_in({command[i]}).empty();
    out.parameters.push_back(command[i]);
  }
  out.has_body = out.has_body || !has_placeholder;
  return out;
}

Result<std::vector<std::string>> fleet_parameters(const FleetProgram& program, const std::string& item,
                                                  std::uint64_t number) {
  std::vector<std::string> out;
  for (const auto& parameter : program.parameters) {
    const auto equals = parameter.find('=') + 1;
    const std::string value = replaced(parameter.substr(equals), [&](const Placeholder& placeholder) {
      return value_of(placeholder, item, number);
    });
    SKEP_TRY(check_item(value, number));
    out.push_back(parameter.substr(0, equals) + value);
  }
  return out;
}

}  // namespace skep::cli
