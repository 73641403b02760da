// SPDX-License-Identifier: Apache-2.0
// settings.h - one name for a setting in three places: --max-workers, SKEP_MAX_WORKERS, max-workers in a TOML
// file.
//
// CLI11 reads the command line and the file. Here stands what ties the three together: a flag wins over the
// environment, which wins over the file; only the command that runs takes anything; unknown names are
// refused.
//
// Threads:   the main thread.
// Errors:    a name in the file that is no setting is thrown as CLI11's own ConfigError, which main.cc
// reports.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace skep::cli {

// The file: top-level keys are the long names of the chosen command's flags, [COMMAND] holds those of one
// command, so that one file can serve several. [command.NAME] holds a program that tasks may name: `run` is
// what --command has after NAME=, the other keys are those of --command-option.
class FlatConfig final : public CLI::ConfigTOML {
 public:
  explicit FlatConfig(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

 private:
  const CLI::App& app_;
};

// Lets every command of `app` take its flags from the environment, once it is the one that runs.
void take_settings_from_environment(CLI::App& app);

// Variables named SKEP_ that no command of `app` reads.
std::vector<std::string> unknown_variables(const CLI::App& app);

// What `command` runs with, as a file that --config would take.
std::string effective_settings(const CLI::App& app, const CLI::App& command);

}  // namespace skep::cli
