// SPDX-License-Identifier: Apache-2.0
#include "cli/wrong_usage.h"

#include <string_view>

namespace skep::cli {
namespace {

// What stands before and behind the first `mark`; all of it and nothing if there is none.
struct Halves {
  std::string before;
  std::string behind;
};
Halves halves(std::string_view text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, at)), std::string(text.substr(at + mark.size()))};
}

std::string with_blanks(std::string_view list) {
  std::string out;
  for (const char c : list) out += c == ',' ? std::string(", ") : std::string(1, c);
  return out;
}

// "--role: boss not in {viewer,client}" or "--priority: Value 11 not in range 0 to 9".
std::string wrong_value(const std::string& text) {
  const auto [option, said] = halves(text, ": ");
  if (const auto [value, choices] = halves(said, " not in {"); !choices.empty())
    return option + ": '" + value + "' is none of " + with_blanks(choices.substr(0, choices.size() - 1));
  if (const auto [value, range] = halves(said, " not in range "); !range.empty())
    return option + ": " + halves(value, "Value ").behind + " is not from " + range;
  return text;
}

}  // namespace

std::string wrong_usage(const std::string& kind, const std::string& text, const std::string& command) {
  const std::string help = "skep " + (command.empty() ? "" : command + " ") + "--help";
  if (text.starts_with("The following argument"))  // its kind is the name of the command
    return "'" + halves(text, " not expected: ").behind + "' is not understood here: " + help +
           " lists what is";
  if (kind == "RequiredError" && text.ends_with(" is required"))
    return halves(text, " is required").before + " is missing: " + help + " tells what it is";
  if (kind == "ArgumentMismatch" && text.ends_with(" missing"))
    return halves(text, ": ").before + " wants a value: " + help + " tells which";
  if (kind == "ConversionError" && text.starts_with("Could not convert: ")) {
    const auto [option, value] = halves(halves(text, ": ").behind, " = ");
    return option + ": '" + value + "' is no such value: " + help + " tells which are";
  }
  if (kind == "FileError" && text.ends_with(" was not readable (missing?)")) {
    return "--config: '" + halves(text, " was not readable").before +
           "' can not be read: check that it exists and is yours to read";
  }
  return kind == "ValidationError" ? wrong_value(text) : text;
}

}  // namespace skep::cli
