// SPDX-License-Identifier: Apache-2.0
#include "cli/programs.h"

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

}  // namespace

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
