// SPDX-License-Identifier: Apache-2.0
// flat_config.h - the configuration file: TOML whose keys are the long names of the chosen command's flags.
//
// CLI11 reads the TOML; this puts top-level keys under the command that runs, so that one file serves it
// without a section of its name, and leaves out what the environment already says, so that it wins over the
// file.
//
// Threads:   the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>
#include <vector>

namespace skep::cli {

class FlatConfig final : public CLI::ConfigTOML {
 public:
  explicit FlatConfig(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const auto chosen = app_.get_subcommands();
    std::vector<CLI::ConfigItem> found;
    for (auto& item : CLI::ConfigTOML::from_config(input)) {
      if (item.name == "++" || item.name == "--")
        continue;  // CLI11's marks for the begin and end of a section
      if (is_in_environment(item.name)) continue;
      if (item.parents.empty() && !chosen.empty() && app_.get_option_no_throw("--" + item.name) == nullptr) {
        item.parents.push_back(chosen.front()->get_name());
      }
      found.push_back(std::move(item));
    }
    return found;
  }

 private:
  static bool is_in_environment(const std::string& name) {
    std::string variable = "SKEP_";
    for (const char c : name)
      variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return std::getenv(variable.c_str()) != nullptr;
  }

  const CLI::App& app_;
};

}  // namespace skep::cli
