// SPDX-License-Identifier: Apache-2.0
#include "cli/context.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "api/errors.h"
#include "cli/programs.h"
#include "scaler/objective.h"

namespace skep::cli {

Logger Context::logger(std::string_view name) const {
  const auto level = parse_log_level(log_level);
  return Logger(name, level ? level.value() : LogLevel::kInfo);
}

TraceContext own_trace() {
  const auto text = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  return parse_trace_context(text("TRACEPARENT"), text("TRACESTATE"));
}

int report(const Error& error) {
  std::fprintf(stderr, "skep: %s\n", error.message.c_str());
  return api::info(error.code).exit_code;
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& value, const std::string& what) {
  return app
      .add_option_function<std::string>(
          name,
          [&value](const std::string& text) {
            if (auto parsed = parse_duration(text)) value = parsed.value();
          },
          what)
      ->check([](const std::string& text) {
        const auto parsed = parse_duration(text);
        return parsed ? std::string() : parsed.error().message;
      })
      ->type_name("DURATION")
      ->default_str(format_duration(value));
}

CLI::Option* add_objectives(CLI::App& app, std::vector<std::string>& value) {
  return app
      .add_option(
          "--queue-objective", value,
          "NAME=WAIT[:WEIGHT], as in urgent=5s:4: how long tasks of a queue may wait, where that is "
          "not --target-wait, and how many leases it gets in its turn [1]; may be repeated, or several "
          "with commas")
      ->delimiter(',')
      ->check([](const std::string& text) {
        const auto parsed = scaler::parse_objective(text);
        return parsed ? std::string() : parsed.error().message;
      });
}

CLI::Option* add_log_level(CLI::App& app, const std::string& name, std::string& value,
                           const std::string& what) {
  return app.add_option(name, value, what + ": debug, info, warn, error or off")
      ->type_name("LEVEL")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto level = parse_log_level(text);
        return level ? std::string() : level.error().message;
      });
}

CLI::Option* add_programs(CLI::App& app, std::vector<std::string>& value) {
  return app
      .add_option(
          "--command", value,
          "NAME=PROGRAM that tasks of kind command may name; may be repeated, or several with semicolons")
      ->check([](const std::string& text) {
        const auto programs = parse_programs(text);
        return programs ? std::string() : programs.error().message;
      });
}

CLI::Option* add_program_options(CLI::App& app, std::vector<std::string>& value) {
  return app
      .add_option(
          "--command-option", value,
          "NAME.KEY=VALUE, a setting of one of them, such as thumb.memory=256MiB; may be repeated, or "
          "several with semicolons")
      ->check([](const std::string& text) {
        const auto checked = check_program_options(text);
        return checked ? std::string() : checked.error().message;
      });
}

CLI::Option* add_managers(CLI::App& app, std::string& value) {
  return app.add_option("--manager", value, "URL of the manager, or several with commas")
      ->type_name("URL")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto urls = client::parse_managers(text);
        return urls ? std::string() : urls.error().message;
      });
}

void add_client_options(CLI::App& app, Context& context) {
  app.add_flag("--json", context.is_json, "Print JSON");
  add_managers(app, context.manager);
  add_access_options(app, context.access);
}

namespace {

// Not predictable from outside, and different in each process: back-off of many commands must not march in
// step.
std::uint64_t jitter_seed(const Clock& clock) {
  return static_cast<std::uint64_t>(clock.now().time_since_epoch().count()) ^
         (static_cast<std::uint64_t>(getpid()) << 32);
}

constexpr Duration kConnectPatience = seconds(3);  // with a manager that is being started again

}  // namespace

Remote::Remote(std::vector<http::Url> managers, http::ClientOptions http)
    : runner_(clock_, "skep-client"),
      http_(clock_, std::move(http)),
      client_(std::make_unique<client::Client>(runner_, http_, std::move(managers),
                                               Random(jitter_seed(clock_)))) {}

Result<std::unique_ptr<Remote>> Remote::connect(const std::string& managers, const Access& access) {
  auto urls = client::parse_managers(managers);
  if (!urls) return with_context(urls.error(), "--manager");
  SKEP_TRY(auto http, client_options(access));
  Random random(jitter_seed(SystemClock()));
  auto remote = std::unique_ptr<Remote>(
      new Remote(client::in_random_order(std::move(urls.value()), random), std::move(http)));
  const auto seen = remote->wait<api::v1::ClusterReply>([&](client::Client& client, auto done) {
    client.cluster(remote->within(kConnectPatience), std::move(done));
  });
  // Whatever else is wrong, the command itself will say.
  if (!seen && seen.error().code == Code::kUnavailable) {
    return fail(Code::kUnavailable,
                seen.error().message + ": is a manager running there? `skep up` starts one");
  }
  return remote;
}

}  // namespace skep::cli
