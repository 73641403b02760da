// SPDX-License-Identifier: Apache-2.0
// The one binary: manager, worker, and every command for people.
#include <cstdio>
#include <cstdlib>

#include "api/errors.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/flat_config.h"

namespace skep::cli {
namespace {

constexpr const char* kFooter = R"(
Start with:  skep demo        does a whole job with real input and shows it
             skep up          a manager and autoscaled workers on this machine

Exit codes:  0 done, 1 the answer is no (a result differs), 2 wrong usage or request,
             4 not found, 5 conflict, 6 another owner, 7 stale lease, 8 a limit is reached, 9 unavailable,
             10 timeout, 11 unknown outcome, 12 damaged data, 13 internal error)";

void print_effective(const CLI::App& command) {
  std::printf("# the effective configuration of skep %s\n", command.get_name().c_str());
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_single_name();
    if (name == "help" || name == "check-config" || option->get_positional()) continue;
    if (option->count() == 0) {
      const std::string value = option->get_default_str();
      const bool is_flag = option->get_expected_min() == 0;
      std::printf("%s = %s\n", name.c_str(),
                  is_flag && value.empty() ? "false" : ("\"" + value + "\"").c_str());
      continue;
    }
    for (const auto& value : option->results()) std::printf("%s = \"%s\"\n", name.c_str(), value.c_str());
  }
}

// CLI11 reports by exceptions; they stop here.
int run(int argc, char** argv) {
  CLI::App app("skep: an elastic, durable task queue for CPU work");
  app.name("skep");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "skep " SKEP_VERSION);
  app.option_defaults()->always_capture_default();
  Context context;
  bool is_check_only = false;
  app.set_config("--config", "",
                 "Configuration file (TOML): the long names of a command's flags, without the dashes");
  app.config_formatter(std::make_shared<FlatConfig>(app));
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag("--check-config", is_check_only, "Print the effective configuration of the command and exit");
  app.add_option("--log-level", context.log_level, "debug, info, warn, error or off")
      ->envname("SKEP_LOG_LEVEL")
      ->check([](const std::string& text) {
        const auto level = parse_log_level(text);
        return level ? std::string() : level.error().message;
      });
  add_serve_commands(app, context);
  add_worker_command(app, context);
  add_task_commands(app, context);
  add_status_commands(app, context);
  add_demo_command(app, context);
  auto* version = app.add_subcommand("version", "Print the version");
  context.actions[version] = [] {
    std::puts("skep " SKEP_VERSION);
    return api::kExitOk;
  };
  // --config and --log-level may stand after the command, too.
  for (auto* command : app.get_subcommands({})) command->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "skep: %s\n", error.what());
    return api::kExitUsage;
  }
  const CLI::App* command = app.get_subcommands().front();
  if (is_check_only) {
    print_effective(*command);
    return api::kExitOk;
  }
  return context.actions.at(command)();
}

}  // namespace
}  // namespace skep::cli

int main(int argc, char** argv) {
  skep::ignore_broken_pipes();
  return skep::cli::run(argc, argv);
}
