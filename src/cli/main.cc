// SPDX-License-Identifier: Apache-2.0
// The one binary: manager, worker, and every command for people.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "api/errors.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/settings.h"
#include "cli/wrong_usage.h"

namespace skep::cli {
namespace {

constexpr const char* kStart = R"(
Start with:  skep demo        does a whole job with real input and shows it
             skep run --parallel -- sha256sum {} ::: FILE...    a program for many files at once
             skep up          a manager and autoscaled workers on this machine)";
constexpr const char* kFooter = R"(

Exit codes:  0 done, 1 the answer is no (a result differs, a store has findings), 2 wrong usage or request,
             3 no valid token or certificate, 4 not found, 5 conflict, 6 another owner, 7 stale lease,
             8 a limit is reached, 9 unavailable, 10 timeout, 11 unknown outcome, 12 damaged data,
             13 internal error, 14 the token does not allow this)";

// Everything that `skep` can be told.
void describe(CLI::App& app, Context& context) {
  app.name("skep");
  app.footer(std::string(kStart) + kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "skep " SKEP_VERSION);
  app.option_defaults()->always_capture_default();
  app.set_config("--config", "",
                 "Configuration file (TOML): the long names of a command's flags, without the dashes");
  app.config_formatter(std::make_shared<FlatConfig>(app));
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag("--check-config", context.is_check_only,
               "Print the effective configuration of the command and exit");
  add_log_level(app, "--log-level", context.log_level, "What is logged on stderr");
  add_serve_commands(app, context);
  add_worker_command(app, context);
  add_task_commands(app, context);
  add_status_command(app, context);
  add_explain_command(app, context);
  add_run_command(app, context);
  add_scale_command(app, context);
  add_verify_command(app, context);
  add_simulate_command(app, context);
  add_token_command(app, context);
  add_demo_command(app, context);
  add_aws_command(app, context);
  auto* version = app.add_subcommand("version", "Print the version");
  version->footer("Example: skep version");
  version->add_flag("--json", context.is_json, "Print JSON");
  context.actions[version] = [&context] {
    std::puts(context.is_json ? "{\"version\":\"" SKEP_VERSION "\"}" : "skep " SKEP_VERSION);
    return api::kExitOk;
  };
  // --config and --log-level may stand after the command, too.
  for (auto* command : app.get_subcommands({})) command->fallthrough();
  take_settings_from_environment(app);
}

// CLI11 would only say that a subcommand is required.
std::string wrong_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2) {
    return std::string("say what to do; skep --help lists the commands, skep COMMAND --help what one can") +
           kStart;
  }
  const std::string first = argv[1];
  const auto is_it = [&](const CLI::App* command) { return command->get_name() == first; };
  if (first.starts_with("-") || !app.get_subcommands(is_it).empty()) return {};
  return "there is no command '" + first + "'; skep --help lists them";
}

// A mistyped variable must not pass as if it counted. Workers that a manager starts inherit its variables; it
// has complained already.
int check_environment(const CLI::App& app, const CLI::App& command, const Context& context) {
  const bool is_server = command.get_option_no_throw("--listen") != nullptr;
  for (const auto& name : unknown_variables(app)) {
    if (context.is_check_only) {
      std::fprintf(stderr, "skep: nothing reads the variable %s\n", name.c_str());
      return api::kExitUsage;
    }
    if (is_server) std::fprintf(stderr, "skep: warning: nothing reads the variable %s\n", name.c_str());
  }
  return api::kExitOk;
}

// What stands behind "--" of skep run is another program's: CLI11 would look for lists and options in it.
// Gives what is left for CLI11.
int take_words(int argc, char** argv, std::vector<std::string>& words) {
  char** const end = argv + argc;
  char** const dashes = std::find(argv, end, std::string_view("--"));
  if (std::find(argv, dashes, std::string_view("run")) == dashes || dashes == end) return argc;
  words.assign(dashes + 1, end);
  return static_cast<int>(dashes - argv);
}

// CLI11 reports by exceptions; they stop here.
int run(int argc, char** argv) {
  CLI::App app("skep: an elastic, durable task queue for CPU work");
  Context context;
  context.access.token = take_token_variable();
  describe(app, context);
  argc = take_words(argc, argv, context.words);
  if (const std::string wrong = wrong_command(app, argc, argv); !wrong.empty()) {
    std::fprintf(stderr, "skep: %s\n", wrong.c_str());
    return api::kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    const auto given = app.get_subcommands();
    const std::string command = given.empty() ? "" : given.front()->get_name();
    std::fprintf(stderr, "skep: %s\n", wrong_usage(error.get_name(), error.what(), command).c_str());
    return api::kExitUsage;
  }
  const CLI::App* command = app.get_subcommands().front();
  if (const int code = check_environment(app, *command, context); code != api::kExitOk) return code;
  if (const auto check = context.checks.find(command); check != context.checks.end()) {
    if (const auto valid = check->second(); !valid) return report(valid.error());
  }
  if (context.is_check_only) {
    std::fputs(effective_settings(app, *command).c_str(), stdout);
    return api::kExitOk;
  }
  return context.actions.at(command)();
}

}  // namespace
}  // namespace skep::cli

int main(int argc, char** argv) {
  skep::ignore_broken_pipes();
  // Its lines about requests that do not parse would let every client write to standard error.
  google::protobuf::SetLogHandler(nullptr);
  return skep::cli::run(argc, argv);
}
