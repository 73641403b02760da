// SPDX-License-Identifier: Apache-2.0
// worker: computes for a manager until it is told to stop.
#include <sstream>
#include <thread>

#include "api/errors.h"
#include "base/limits_os.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/programs.h"
#include "cli/worker_ec2.h"
#include "manager/manager.h"
#include "worker/worker.h"

namespace skep::cli {
namespace {

struct WorkerCommand {
  worker::WorkerOptions worker;
  std::string managers = "http://127.0.0.1:8080";
  std::vector<std::string> commands;         // NAME=PROGRAM
  std::vector<std::string> command_options;  // NAME.KEY=VALUE
  std::string compute;                       // a target's name; "" is the best
  bool is_ec2 = false;
};

int run(const Context& context, const WorkerCommand& command) {
  SignalWaiter signals;  // before any thread
  const Logger log = context.logger("worker");
  (void)raise_open_files_limit();  // a worker needs few
  worker::WorkerOptions options = command.worker;
  auto http = client_options(context.access);
  if (!http) return report(http.error());
  options.http = std::move(http.value());
  auto managers = client::parse_managers(command.managers);
  if (!managers) return report(with_context(managers.error(), "--manager"));
  for (const auto& url : managers.value()) {
    if (!options.http.bearer || url.is_tls || manager::is_loopback_address(url.host_port())) continue;
    log.warn("the token goes over the wire as it is: use https://", {{"manager", url.host_port()}});
  }
  std::istringstream list(command.managers);
  for (std::string url; std::getline(list, url, ',');) options.managers.push_back(url);
  if (!command.compute.empty()) options.target = compute::parse_target(command.compute);
  auto programs = read_programs(command.commands, command.command_options);
  if (!programs) return report(programs.error());
  options.programs = std::move(programs.value());
  std::unique_ptr<WorkerEc2> ec2;
  if (command.is_ec2) {
    auto opened = WorkerEc2::open();
    if (!opened) return report(with_context(opened.error(), "--ec2"));
    ec2 = std::move(opened.value());
    options.instance = ec2->self().token + "-" + ec2->self().id;
    if (options.name.empty()) options.name = ec2->self().id;
    options.is_bound = !ec2->self().manager.empty();
    if (options.is_bound) options.managers = {ec2->self().manager};
  }
  const worker::DrainHandle drain;
  if (ec2 != nullptr) ec2->watch(drain, log);
  // A second signal hastens the drain, a third ends it.
  std::thread listener([&] {
    while (signals.wait() != 0) drain.drain(worker::DrainCause::kSignal);
  });
  const SystemClock clock;
  auto code = worker::run_worker(options, clock, log, drain);
  signals.interrupt();
  listener.join();
  return code ? code.value() : report(code.error());
}

}  // namespace

void add_worker_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<WorkerCommand>();
  auto* command = app.add_subcommand("worker", "Compute tasks for a manager");
  command->footer("Example: skep worker --manager http://10.0.0.1:8080,http://10.0.0.2:8080");
  add_managers(*command, options->managers);
  add_access_options(*command, context.access);
  command
      ->add_option("--cores", options->worker.cores,
                   "Threads that compute; 0 is one for each core that it may use")
      ->check(CLI::Range(0, 1024));
  command
      ->add_option("--slots", options->worker.slots,
                   "sha512 tasks at once, no more than there are lanes, and commands; 0 is all lanes, a "
                   "command a core")
      ->check(CLI::Range(0, 1000));
  command
      ->add_option("--compute", options->compute,
                   "What computes: avx512, avx2, sse4, neon, sve or scalar [the best that the processor has]")
      ->check(CLI::Validator(
          [](const std::string& name) {
            if (name.empty() || compute::parse_target(name)) return std::string();
            return "'" + name + "' is not known: use avx512, avx2, sse4, neon, sve or scalar";
          },
          ""));
  add_duration(*command, "--checkpoint-interval", options->worker.checkpoint_interval,
               "How often a long task's progress is made safe at the manager");
  command->add_option("--name", options->worker.name, "What people call it [the host's name]");
  auto* instance =
      command->add_option("--instance", options->worker.instance, "The token that a provisioner gave it");
  command
      ->add_flag("--ec2", options->is_ec2,
                 "This machine is an instance that skep manager --provisioner ec2 launched: its metadata say "
                 "who it is, and when it is taken away")
      ->excludes(instance);
  add_programs(*command, options->commands);
  add_program_options(*command, options->command_options);
  add_duration(*command, "--orphan-timeout", options->worker.orphan_timeout,
               "No manager answered for so long: exit");
  add_duration(*command, "--drain-timeout", options->worker.drain_timeout,
               "Draining for longer: hand back what runs");
  context.checks[command] = [options]() -> Result<void> {
    SKEP_TRY(read_programs(options->commands, options->command_options));
    return ok();
  };
  context.actions[command] = [&context, options] { return run(context, *options); };
}

}  // namespace skep::cli
