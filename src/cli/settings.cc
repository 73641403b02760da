// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.h"

#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <set>

namespace skep::cli {
namespace {

constexpr std::string_view kPrefix = "SKEP_";

std::string variable_of(const std::string& setting) {
  std::string variable(kPrefix);
  for (const char c : setting)
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

// Flags that say what to do now, and not how: they have no place in a file or the environment.
bool is_setting(const CLI::Option& option) {
  static const std::set<std::string> kNotOne{"help", "config", "check-config", "version", "instance"};
  return !option.get_lnames().empty() && !kNotOne.contains(option.get_lnames().front());
}

bool is_in_environment(const std::string& setting) {
  const char* value = std::getenv(variable_of(setting).c_str());
  return value != nullptr && *value != '\0';
}

const CLI::Option* find_setting(const CLI::App& app, const std::string& name) {
  const auto* option = app.get_option_no_throw("--" + name);
  return option != nullptr && is_setting(*option) ? option : nullptr;
}

constexpr const char* kPrograms = "command";  // [command.NAME] is a program of that name

// A key of [command.NAME] as the flag that says the same.
CLI::ConfigItem of_program(const CLI::ConfigItem& item) {
  const std::string& program = item.parents[1];
  CLI::ConfigItem out;
  out.name = item.name == "run" ? "command" : "command-option";
  for (const auto& input : item.inputs)
    out.inputs.push_back(item.name == "run" ? program + "=" + input
                                            : program + "." + item.name + "=" + input);
  return out;
}

// CLI11 takes the first item of an option alone.
void add_item(CLI::ConfigItem item, std::vector<CLI::ConfigItem>& items) {
  for (auto& there : items) {
    if (there.name != item.name || there.parents != item.parents) continue;
    there.inputs.insert(there.inputs.end(), item.inputs.begin(), item.inputs.end());
    return;
  }
  items.push_back(std::move(item));
}

// The command whose setting `item` is; null if that is `app` itself.
const CLI::App* owner_of(const CLI::App& app, const CLI::App* chosen, const CLI::ConfigItem& item) {
  if (item.parents.empty()) {
    if (find_setting(app, item.name) != nullptr) return nullptr;
    if (chosen != nullptr && find_setting(*chosen, item.name) != nullptr) return chosen;
    throw CLI::ConfigError("the configuration file has '" + item.name + "', which is no setting of skep" +
                               (chosen != nullptr ? " " + chosen->get_name() : ""),
                           CLI::ExitCodes::ConfigError);
  }
  for (const auto* command : app.get_subcommands(nullptr)) {
    if (item.parents.size() == 1 && command->get_name() == item.parents.front() &&
        find_setting(*command, item.name) != nullptr)
      return command;
  }
  throw CLI::ConfigError(
      "the configuration file has '" + item.fullname() + "', which is no setting of a command",
      CLI::ExitCodes::ConfigError);
}

bool is_number(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("UINT") || type.starts_with("INT");
}

std::string quoted(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string value_of(const CLI::Option& option) {
  const bool is_given = option.count() > 0;
  if (option.get_expected_min() == 0) {
    return is_given && CLI::detail::to_flag_value(option.results().back()) > 0 ? "true" : "false";
  }
  const auto literal = [&](const std::string& value) { return is_number(option) ? value : quoted(value); };
  if (option.get_items_expected_max() <= 1) {
    return literal(is_given ? option.results().back() : option.get_default_str());
  }
  std::string list;
  if (is_given) {
    for (const auto& value : option.results()) list += (list.empty() ? "" : ", ") + literal(value);
  }
  return "[" + list + "]";
}

std::string lines_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() || !is_setting(*option)) continue;
    const std::string value = value_of(*option);
    // Nothing is what a setting has that is not mentioned.
    if (value.empty() || value == "[]") continue;
    text += option->get_lnames().front() + " = " + value + "\n";
  }
  return text;
}

}  // namespace

std::vector<CLI::ConfigItem> FlatConfig::from_config(std::istream& input) const {
  const auto commands = app_.get_subcommands();
  const CLI::App* chosen = commands.empty() ? nullptr : commands.front();
  std::vector<CLI::ConfigItem> found;
  for (auto& item : CLI::ConfigTOML::from_config(input)) {
    if (item.name == "++" || item.name == "--") continue;  // CLI11's marks for the begin and end of a section
    if (item.parents.size() == 2 && item.parents.front() == kPrograms) {
      item = of_program(item);
      if (chosen == nullptr || find_setting(*chosen, item.name) == nullptr) continue;
    }
    const CLI::App* owner = owner_of(app_, chosen, item);
    if ((owner != nullptr && owner != chosen) || is_in_environment(item.name) || item.inputs.empty())
      continue;
    item.parents.clear();
    if (owner != nullptr) item.parents.push_back(owner->get_name());
    add_item(std::move(item), found);
  }
  return found;
}

void take_settings_from_environment(CLI::App& app) {
  const auto name = [](CLI::App& owner) {
    for (CLI::Option* option : owner.get_options()) {
      if (!option->get_positional() && is_setting(*option))
        option->envname(variable_of(option->get_lnames().front()));
    }
  };
  name(app);
  // CLI11 would read and check the variables of every command, also those that do not run.
  for (auto* command : app.get_subcommands(nullptr)) {
    command->preparse_callback([command, name](std::size_t) { name(*command); });
  }
}

std::vector<std::string> unknown_variables(const CLI::App& app) {
  // Tests name the binary by the first.
  std::set<std::string> known{"SKEP_BIN", "SKEP_TOKEN"};
  const auto add = [&](const CLI::App& owner) {
    for (const CLI::Option* option : owner.get_options()) {
      if (!option->get_positional() && is_setting(*option))
        known.insert(variable_of(option->get_lnames().front()));
    }
  };
  add(app);
  for (const auto* command : app.get_subcommands(nullptr)) add(*command);
  std::vector<std::string> unknown;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    if (name.starts_with(kPrefix) && !known.contains(name)) unknown.push_back(name);
  }
  return unknown;
}

std::string effective_settings(const CLI::App& app, const CLI::App& command) {
  return "# the effective configuration of skep " + command.get_name() + "\n" + lines_of(app) +
         lines_of(command);
}

}  // namespace skep::cli
