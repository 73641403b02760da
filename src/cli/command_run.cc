// SPDX-License-Identifier: Apache-2.0
// run: a program over many items, as GNU parallel does it, with a manager and workers between.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "api/errors.h"
#include "base/figures.h"
#include "base/limits_os.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/programs.h"
#include "cli/run_journal.h"
#include "cli/run_loop.h"
#include "cli/run_output.h"
#include "cli/run_plan.h"
#include "cli/serve.h"
#include "task/access_token.h"
#include "task/limits.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

// As GNU parallel has them.
constexpr int kFailedMax = 100;
constexpr int kMoreFailed = 101;
constexpr int kNotRun = 255;
constexpr int kInterrupted = 130;
constexpr std::uint32_t kItemsMax = 10'000'000;

struct RunOptions {
  bool is_parallel = false;
  std::uint32_t jobs = 0;  // 0: the cores
  bool keeps_order = false;
  std::uint32_t runs_max = 1;
  Duration timeout{};
  bool is_fresh = false;
  bool has_zeros = false;  // between items on standard input
  std::string state;       // directory; "": one by the job's content
  std::string items_file;  // "-" is standard input
  CLI::Option* manager = nullptr;
};

int report_own(const Error& error) {
  report(error);
  return kNotRun;
}

Result<std::string> read_items(const RunOptions& options) {
  if (options.items_file.empty() && isatty(STDIN_FILENO) == 1) {
    return fail(
        Code::kInvalid,
        "there is nothing to run it for: put items behind :::, or send them to standard input, one a line");
  }
  std::ifstream file;
  const bool is_file = !options.items_file.empty() && options.items_file != "-";
  if (is_file) file.open(options.items_file, std::ios::binary);
  if (is_file && !file.is_open())
    return fail(Code::kInvalid, "'" + options.items_file + "' can not be read: check that it exists");
  std::istream& input = is_file ? file : std::cin;
  return std::string(std::istreambuf_iterator<char>(input), {});
}

Result<RunPlan> make_plan(const RunOptions& options, const std::vector<std::string>& words) {
  SKEP_TRY(auto parsed, parse_run_words(words));
  if (!options.is_parallel) {
    if (parsed.has_items)
      return fail(Code::kInvalid, "::: is for many: skep run --parallel -- " + words[0] + " ... ::: ...");
    parsed.plan.items = {""};
    return std::move(parsed.plan);
  }
  if (!parsed.has_items) {
    SKEP_TRY(const auto text, read_items(options));
    parsed.plan.items = split_items(text, options.has_zeros ? '\0' : '\n');
  }
  if (parsed.plan.items.size() > kItemsMax) {
    return fail(Code::kInvalid, "there are " + with_thousands(parsed.plan.items.size()) + " items, and " +
                                    with_thousands(kItemsMax) + " is the most of one run");
  }
  return std::move(parsed.plan);
}

// ---- where it runs ----

// A manager and a worker for the time of the run.
class OwnFleet {
 public:
  static Result<std::unique_ptr<OwnFleet>> start(const OwnProgram& program, std::uint32_t jobs,
                                                 const std::string& directory) {
    std::unique_ptr<OwnFleet> fleet(new OwnFleet);
    auto& serve = fleet->serve_;
    serve.listen = "127.0.0.1:0";
    serve.store = "log:" + directory + "/store";
    serve.workers_min = 1;
    serve.workers_max = 1;
    serve.slots = jobs;
    serve.commands = {program.command};
    serve.command_options = program.options;
    // Short, so that the next run has not long to wait for what a killed one had begun.
    serve.heartbeat = milliseconds(500);
    serve.worker_timeout = seconds(2);
    serve.lease = seconds(3);
    serve.worker_drain_timeout = seconds(1);
    SKEP_TRY(fleet->store_, open_store(serve.store, fleet->log_));
    // Others on this machine could have the program run for them, as this user.
    auto token = make_token(Role::kAdmin, "run", fleet->clock_.now(), kNever);
    SKEP_TRY(fleet->tokens_->add(token.second));
    fleet->access_.token = token.first;
    SKEP_TRY(fleet->manager_, start_manager(serve, *fleet->store_, fleet->tokens_.get(), nullptr,
                                            fleet->clock_, fleet->log_, kConnectionsMin));
    return fleet;
  }
  ~OwnFleet() {
    if (manager_) manager_->drain(kDrainPatience);
    manager_.reset();
    if (store_) (void)store_->close();
  }
  OwnFleet(const OwnFleet&) = delete;
  OwnFleet& operator=(const OwnFleet&) = delete;

  std::string url() const { return "http://" + manager_->address(); }
  const Access& access() const { return access_; }

 private:
  OwnFleet() : tokens_(store::make_memory_tokens()) {}

  ServeOptions serve_;
  SystemClock clock_;
  Logger log_{"manager", LogLevel::kError};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::TokenStore> tokens_;
  Access access_;
  std::unique_ptr<manager::Manager> manager_;
};

Result<std::string> read_body(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string body(limits::kBodyBytesMax + 1, '\0');
  file.read(body.data(), static_cast<std::streamsize>(body.size()));
  if (!file.is_open() || file.bad()) {
    return fail(Code::kInvalid, "'" + path +
                                    "' can not be read: on a fleet an item is a file, whose bytes are sent, "
                                    "unless a parameter has {} in it");
  }
  body.resize(static_cast<std::size_t>(file.gcount()));
  if (body.size() <= limits::kBodyBytesMax) return body;
  return fail(Code::kInvalid, "'" + path + "' is too large for a fleet; a task's body may have " +
                                  describe_bytes(limits::kBodyBytesMax));
}

void set_limits(const RunOptions& options, v1::EnqueueRequest& task) {
  task.mutable_options()->set_kind("command");
  if (options.timeout > Duration::zero())
    task.mutable_options()->set_timeout_ms(static_cast<std::uint64_t>(options.timeout / milliseconds(1)));
}

RunLoopOptions own_loop(const RunOptions& options, const RunPlan& plan) {
  RunLoopOptions loop;
  loop.is_reported = true;
  loop.runs_max = options.runs_max;
  loop.make_task = [&options, &plan](std::uint32_t index) -> Result<v1::EnqueueRequest> {
    v1::EnqueueRequest task;
    set_limits(options, task);
    task.mutable_options()->set_program(kOwnProgram);
    const auto command = plan.command;
    SKEP_TRY(const auto parameters,
             own_parameters(command, plan.items[index], index + 1, options.is_parallel));
    for (const auto& parameter : parameters) task.mutable_options()->add_parameters(parameter);
    return task;
  };
  return loop;
}

RunLoopOptions fleet_loop(const RunOptions& options, const RunPlan& plan, const FleetProgram& program) {
  RunLoopOptions loop;
  loop.make_task = [&options, &plan, program](std::uint32_t index) -> Result<v1::EnqueueRequest> {
    v1::EnqueueRequest task;
    set_limits(options, task);
    task.mutable_options()->set_program(program.name);
    task.mutable_options()->set_max_attempts(options.runs_max);
    SKEP_TRY(const auto parameters, fleet_parameters(program, plan.items[index], index + 1));
    for (const auto& parameter : parameters) task.mutable_options()->add_parameters(parameter);
    if (program.has_body && options.is_parallel) {
      SKEP_TRY(*task.mutable_body(), read_body(plan.items[index]));
    }
    return task;
  };
  return loop;
}

// ---- one run ----

std::string title_of(const RunPlan& plan) {
  std::string out;
  for (const auto& word : plan.command) out += (out.empty() ? "" : " ") + word;
  return out + "  (" + with_thousands(plan.items.size()) + " items, in " +
         std::filesystem::current_path().string() + ")";
}

class OneRun {
 public:
  OneRun(const Context& context, const RunOptions& options, RunPlan plan, SignalWaiter& signals)
      : context_(context), options_(options), plan_(std::move(plan)), signals_(signals) {}

  Result<int> run() {
    if (plan_.items.empty()) return api::kExitOk;
    SKEP_TRY(open_journal());
    const bool is_own = options_.manager->count() == 0;
    std::unique_ptr<OwnFleet> fleet;
    RunLoopOptions loop;
    if (is_own) {
      const auto jobs = options_.jobs > 0 ? options_.jobs : static_cast<std::uint32_t>(usable_cores());
      loop = own_loop(options_, plan_);
      SKEP_TRY(check_items(loop));
      const auto program = make_own_program(plan_.command, options_.is_parallel);
      SKEP_TRY(check_program(program));
      SKEP_TRY(fleet, OwnFleet::start(program, jobs, journal_->directory()));
    } else {
      SKEP_TRY(const auto program, parse_fleet_program(plan_.command));
      loop = fleet_loop(options_, plan_, program);
    }
    SKEP_TRY(const auto remote,
             is_own ? Remote::connect(fleet->url(), fleet->access()) : Remote::connect(context_));
    SKEP_TRY(const int code, run_with(*remote, std::move(loop), is_own));
    fleet.reset();
    if (code != kInterrupted) journal_->remove();
    return code;
  }

 private:
  Result<void> open_journal() {
    std::vector<std::string> parts{options_.manager->count() > 0 ? context_.manager : "",
                                   std::filesystem::current_path().string(),
                                   options_.is_parallel ? "parallel" : "one"};
    parts.insert(parts.end(), plan_.command.begin(), plan_.command.end());
    parts.emplace_back(":::");
    parts.insert(parts.end(), plan_.items.begin(), plan_.items.end());
    std::string directory = options_.state;
    if (directory.empty()) {
      SKEP_TRY(const auto jobs, jobs_directory());
      directory = jobs + "/" + job_name(parts);
      SKEP_TRY(journal_, RunJournal::open(directory, title_of(plan_)));
      sweep(jobs);
    } else {
      SKEP_TRY(journal_, RunJournal::open(directory, title_of(plan_)));
    }
    if (!options_.is_fresh) return ok();
    journal_->remove();
    journal_.reset();
    SKEP_TRY(journal_, RunJournal::open(directory, title_of(plan_)));
    return ok();
  }

  static void sweep(const std::string& jobs) {
    const std::size_t swept = sweep_jobs(jobs, SystemClock().now());
    if (swept == 0) return;
    std::fprintf(stderr, "skep: %s of long ago %s forgotten: %s keeps the last %zu, for 30 days\n",
                 swept == 1 ? "an interrupted run" : (with_thousands(swept) + " interrupted runs").c_str(),
                 swept == 1 ? "is" : "are", jobs.c_str(), kJobsKept);
  }

  // As the worker will do, whose refusal nobody would see.
  static Result<void> check_program(const OwnProgram& program) {
    SKEP_TRY(auto programs, read_programs({program.command}, program.options));
    SKEP_TRY(worker::resolve(std::move(programs)));
    return ok();
  }

  // What no task can carry is said before anything runs.
  Result<void> check_items(const RunLoopOptions& loop) const {
    for (std::uint32_t i = 0; i < plan_.items.size(); ++i) {
      SKEP_TRY(loop.make_task(i));
    }
    return ok();
  }

  Result<int> run_with(Remote& remote, RunLoopOptions loop, bool is_own) {
    const auto items = static_cast<std::uint32_t>(plan_.items.size());
    loop.job = journal_->id();
    loop.queue = loop.job;
    if (!is_own && options_.jobs > 0) {
      v1::PatchQueueRequest patch;
      patch.set_max_leased(options_.jobs);
      SKEP_TRY(remote.wait<v1::Queue>([&](client::Client& client, auto done) {
        client.patch_queue(loop.queue, patch, remote.within(seconds(30)), std::move(done));
      }));
    }
    RunOutput output(remote.clock(), plan_, *journal_,
                     options_.keeps_order ? RunOrder::kAsTheyCame : RunOrder::kAsTheyEnd);
    if (const auto before = journal_->records().size(); before > 0) {
      output.note("skep: goes on where it was interrupted: " + with_thousands(before) + " of " +
                  with_thousands(items) + " are done already (--fresh begins anew)");
    }
    RunLoop running(remote, signals_, *journal_, output, items, std::move(loop));
    SKEP_TRY(running.run());
    output.finish(options_.is_parallel);
    if (running.interrupted()) {
      std::fprintf(stderr, "skep: interrupted: %s of %s are done; the same command goes on from there\n",
                   with_thousands(output.ended()).c_str(), with_thousands(items).c_str());
      return kInterrupted;
    }
    if (!options_.is_parallel) return output.exit_code_of_one();
    return output.failed() > kFailedMax ? kMoreFailed : static_cast<int>(output.failed());
  }

  const Context& context_;
  const RunOptions& options_;
  const RunPlan plan_;
  SignalWaiter& signals_;
  std::unique_ptr<RunJournal> journal_;
};

int run(const Context& context, const RunOptions& options) {
  SignalWaiter signals;  // before any thread
  auto plan = make_plan(options, context.words);
  if (!plan) return report_own(plan.error());
  const auto code = OneRun(context, options, std::move(plan.value()), signals).run();
  return code ? code.value() : report_own(code.error());
}

}  // namespace

void add_run_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  auto* command = app.add_subcommand("run", "Run a program for many files at once, as GNU parallel does");
  command->footer(
      "Example: skep run --parallel -- sha256sum {} ::: /usr/share/doc/*/copyright\n"
      "Behind --: PROGRAM ARGUMENTS ::: ITEMS, or items on standard input. {} is the item, {.} it without "
      "its\n"
      "extension, {/} without its directory, {//} its directory, {/.} without both, {#} its number. No "
      "shell.\n"
      "Without --manager it runs here; with it, PROGRAM is one that the workers list, and gets each file's "
      "bytes.\n"
      "Exit code: how many failed, 101 if more than 100 did, 255 if it could not run, 130 if interrupted.");
  command->add_flag("--parallel", options->is_parallel, "For each item, many at once");
  command
      ->add_option("--jobs,-j", options->jobs, "How many at once; 0 is one for each core, or any on a fleet")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--keep-order,-k", options->keeps_order,
                    "Output in the order of the items, not as they end");
  command->add_option("--retries", options->runs_max, "How often an item that fails is run at most")
      ->check(CLI::Range(1, 100));
  add_duration(*command, "--timeout", options->timeout, "Of one item; 0s is none");
  command->add_flag("--fresh", options->is_fresh, "Forget what an interrupted run of the same has done");
  command
      ->add_option("--state", options->state,
                   "Directory that keeps what is done until all is [one of ~/.local/state/skep/run]")
      ->type_name("DIR");
  command->add_option("--items", options->items_file, "File with the items, one a line; - is standard input")
      ->type_name("FILE");
  command->add_flag("--null,-0", options->has_zeros, "Items end with a zero byte, as find -print0 has them");
  options->manager = add_managers(*command, context.manager);
  add_access_options(*command, context.access);
  context.actions[command] = [&context, options] { return run(context, *options); };
}

}  // namespace skep::cli
