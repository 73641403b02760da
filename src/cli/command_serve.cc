// SPDX-License-Identifier: Apache-2.0
// up and manager: the API over a store, with workers that it starts or that come by themselves.
#include <charconv>
#include <cstdio>
#include <optional>

#include "api/errors.h"
#include "base/limits_os.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/serve.h"

namespace skep::cli {
namespace {

// A number that is not below 0; nothing for "auto". kInvalid: neither.
Result<std::optional<double>> parse_price(const std::string& text) {
  if (text == "auto") return std::optional<double>();
  double price = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), price);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || !(price >= 0 && price < 1e9))
    return fail(Code::kInvalid, "'" + text + "' is no price: say what a worker costs an hour, or auto");
  return std::optional(price);
}

void add_price(CLI::App& command, std::optional<double>& value) {
  command
      .add_option_function<std::string>(
          "--worker-price",
          [&value](const std::string& text) {
            if (const auto price = parse_price(text)) value = price.value();
          },
          "What a worker costs an hour, in any money; auto: 0.05 for process (November 2026), 0 for none, "
          "for "
          "ec2 a list price")
      ->check([](const std::string& text) {
        const auto price = parse_price(text);
        return price ? std::string() : price.error().message;
      })
      ->type_name("PRICE")
      ->default_str("auto");
}

void add_scaling_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--min-workers", options.workers_min, "Workers that always run");
  command.add_option("--max-workers", options.workers_max, "Workers that run at most");
  add_duration(command, "--target-wait", options.target_wait,
               "How long a task may wait before more workers are wanted");
  add_objectives(command, options.queue_objectives);
  add_duration(command, "--idle-hold", options.idle_hold, "How long workers that are not needed are kept");
  command.add_option("--launches-per-minute", options.launches_minute,
                     "Workers that are started a minute at most; 0 is any number");
  command.add_option("--budget-hour", options.budget_hour,
                     "What the workers that run may cost an hour, as a hard limit; 0 is none");
  command.add_option("--budget-month", options.budget_month,
                     "What workers may cost in a calendar month (UTC), as a hard limit; 0 is none");
  add_price(command, options.worker_price);
  command.add_option("--scaler", options.scaler, "dry-run: decide and say so, and start and stop nothing")
      ->check(CLI::IsMember({"live", "dry-run"}));
  command.add_option("--policy", options.policy,
                     "The scaling policy's settings, as skep simulate --tune prints them");
}

void add_disk_reserve(CLI::App& command, std::optional<std::uint64_t>& reserve) {
  command
      .add_option_function<std::string>(
          "--disk-reserve",
          [&reserve](const std::string& text) {
            reserve.reset();
            if (text == "auto") return;
            if (auto parsed = parse_bytes(text)) reserve = parsed.value();
          },
          "What new tasks leave free of the store's disk; auto: what the store needs to go on with what is "
          "there")
      ->check([](const std::string& text) {
        if (text == "auto") return std::string();
        const auto parsed = parse_bytes(text);
        return parsed ? std::string() : parsed.error().message;
      })
      ->type_name("SIZE")
      ->default_str("auto");
}

void add_options(CLI::App& command, ServeOptions& options) {
  options.store = default_store();
  options.workers_max = static_cast<std::uint32_t>(usable_cores());
  command.add_option("--listen", options.listen, "HOST:PORT; port 0 picks a free one");
  command.add_option(
      "--store", options.store,
      "rocksdb:DIRECTORY, log:DIRECTORY, postgres://HOST/DATABASE, or memory: for a trial that "
      "keeps nothing");
  command.add_option("--advertise", options.advertise,
                     "HOST:PORT that others reach this manager by [the address bound]");
  command
      .add_option("--sibling", options.siblings,
                  "HOST:PORT of another manager to tell others of (say this one there too); may be repeated")
      ->delimiter(',');
  command
      .add_option(
          "--seed-clients", options.seed_clients,
          "ADDRESS/BITS whence the seed's clients and workers need no token; may be repeated, or several "
          "with commas")
      ->delimiter(',');
  command
      .add_option("--tls", options.tls, "auto: speak TLS, with an authority that is made at the first start")
      ->check(CLI::IsMember({"off", "auto"}));
  command.add_option("--tls-cert", options.tls_cert, "Certificate and chain (PEM) to speak TLS with")
      ->type_name("FILE");
  command.add_option("--tls-key", options.tls_key, "Its key [in the same file]")->type_name("FILE");
  command.add_option("--tls-dir", options.tls_dir, "Where --tls auto keeps its authority [tls in the store]")
      ->type_name("DIR");
  command
      .add_option("--sibling-token-file", options.sibling_access.token_file,
                  "File with the token of the role sibling that other managers are called with")
      ->type_name("FILE");
  command
      .add_option("--sibling-ca", options.sibling_access.ca_file,
                  "File with the authorities that other managers are trusted by")
      ->type_name("FILE");
  command.add_flag("--insecure", options.is_insecure,
                   "Allow an address that is not loopback without a token, where everybody can use it");
  command
      .add_option("--slots", options.slots,
                  "Tasks that each worker computes at once; 0 is as many as a core has lanes")
      ->check(CLI::Range(0, 1000));
  add_programs(command, options.commands);
  add_program_options(command, options.command_options);
  add_log_level(command, "--worker-log-level", options.worker_log_level,
                "Log level of the workers that it starts");
  add_scaling_options(command, options);
  add_duration(command, "--heartbeat", options.heartbeat, "How often workers say that they live");
  add_duration(command, "--worker-timeout", options.worker_timeout, "A worker silent for longer is lost");
  add_duration(command, "--lease", options.lease, "How long a lease lasts without a heartbeat");
  add_duration(command, "--seed-lease", options.seed_lease, "How long a lease of GET /getwork lasts");
  add_duration(command, "--visibility", options.visibility,
               "When pulled results come again unless acknowledged");
  add_disk_reserve(command, options.disk_reserve);
}

int serve(const Context& context, const ServeOptions& options) {
  SignalWaiter signals;  // before any thread
  const Logger log = context.logger("manager");
  const auto open_files = raise_open_files_limit();
  if (!open_files) log.warn("open files stay limited", {{"problem", open_files.error().message}});
  const SystemClock clock;
  auto tokens = open_tokens(options.store);
  if (!tokens) return report(tokens.error());
  if (auto checked = check_open_address(options, *tokens.value()); !checked) return report(checked.error());
  auto store = open_store(options.store, log);
  if (!store) return report(store.error());
  auto fleet = open_fleet(options.store, clock);
  if (!fleet) return report(fleet.error());
  auto manager = start_manager(options, *store.value(), tokens.value().get(), fleet.value().get(), clock, log,
                               open_files ? connections_for(open_files.value()) : kConnectionsMin);
  if (!manager) return report(manager.error());
  std::printf("listening on %s\n", manager.value()->address().c_str());
  std::fflush(stdout);
  log.info("manager serves", {{"address", manager.value()->address()},
                              {"store", store.value()->stats().place},
                              {"provisioner", options.provisioner}});
  const int signal = signals.wait();
  log.info("manager drains", {{"signal", signal}});
  manager.value()->drain(kDrainPatience);
  manager.value().reset();
  if (auto closed = store.value()->close(); !closed) return report(closed.error());
  return api::kExitOk;
}

}  // namespace

void add_serve_commands(CLI::App& app, Context& context) {
  auto up_options = std::make_shared<ServeOptions>();
  auto* up = app.add_subcommand("up", "Run a manager and autoscaled workers on this machine");
  up->footer("Example: skep up --listen 127.0.0.1:8080 --store rocksdb:/var/lib/skep --max-workers 4");
  add_options(*up, *up_options);
  context.checks[up] = [up_options] { return validate(*up_options); };
  context.actions[up] = [&context, up_options] { return serve(context, *up_options); };

  auto options = std::make_shared<ServeOptions>();
  options->provisioner = "none";
  auto* manager = app.add_subcommand(
      "manager", "Run a manager; workers come by themselves unless a provisioner starts them");
  manager->footer(
      "Example: skep manager --listen 10.0.0.1:8080 --insecure --provisioner none --advertise 10.0.0.1:8080");
  add_options(*manager, *options);
  manager->add_option("--provisioner", options->provisioner, "What starts workers: none, process or ec2")
      ->check(CLI::IsMember({"none", "process", "ec2"}));
  add_ec2_options(*manager, options->ec2);
  context.checks[manager] = [options] { return validate(*options); };
  context.actions[manager] = [&context, options] { return serve(context, *options); };
}

}  // namespace skep::cli
