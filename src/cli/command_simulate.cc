// SPDX-License-Identifier: Apache-2.0
// simulate: what a scaling policy would have done with arrivals that are known.
#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/record_trace.h"
#include "simulate/picture.h"
#include "simulate/study.h"

namespace skep::cli {
namespace {

namespace json = boost::json;
using simulate::Bound;
using simulate::Case;
using simulate::Outcome;
using simulate::SizingChoice;
using simulate::TraceSource;

constexpr const char* kClairvoyant = "clairvoyant";
constexpr double kLoadShare = 0.8;  // of the maximum: what a trace is scaled to where nothing is said

struct SimulateOptions {
  std::vector<std::string> traces;
  std::vector<std::string> policies{"skep"};
  simulate::WorldOptions world;
  std::vector<std::string> objectives;  // NAME=WAIT[:WEIGHT]
  simulate::TraceOptions scaling;
  std::string load = "auto";
  Duration service = seconds(2);
  std::uint64_t seed = 1;
  std::uint32_t repeats = 1;
  std::string picture_file;
  bool wants_series = false;
  std::string record_from;
  std::string output_file;
  bool is_tuning = false;
  simulate::TuneOptions tune;
};

Result<std::string> read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::kInvalid, "trace " + path.string() + " can not be read");
  return text.str();
}

Result<void> write_whole(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return fail(Code::kInvalid, path + " can not be written");
  return ok();
}

// The traces of one --trace: a file, each .csv of a directory in order of name, or a made-up load.
Result<void> add_sources(const std::string& named, std::vector<TraceSource>& sources) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> paths;
  if (fs::is_directory(named, error)) {
    for (const auto& entry : fs::directory_iterator(named, error)) {
      if (entry.path().extension() == ".csv") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) return fail(Code::kInvalid, "directory " + named + " has no .csv file");
  } else if (fs::exists(named, error)) {
    paths.emplace_back(named);
  } else if (simulate::is_synthetic(named)) {
    SKEP_TRY(auto source, simulate::synthetic_trace(named));
    sources.push_back(std::move(source));
    return ok();
  } else {
    return fail(Code::kInvalid, "trace " + named +
                                    " is no file, no directory and no made-up load (constant, step, ramp, " +
                                    "burst, daily, oscillating)");
  }
  for (const fs::path& path : paths) {
    SKEP_TRY(const std::string text, read_whole(path));
    SKEP_TRY(auto source, simulate::parse_trace(path.stem().string(), text));
    sources.push_back(std::move(source));
  }
  return ok();
}

Result<double> load_of(const SimulateOptions& options, const TraceSource& source) {
  if (options.load == "recorded") return 0.0;
  const double most = options.world.bounds.workers_max * options.world.slots;
  if (options.load == "auto") return source.is_as_recorded ? 0.0 : kLoadShare * most;
  char* end = nullptr;
  const double load = std::strtod(options.load.c_str(), &end);
  if (end == options.load.c_str() || *end != '\0' || !(load > 0 && load < 1e6)) {
    return fail(Code::kInvalid,
                "--load " + options.load + " is neither auto, recorded nor a number of slots");
  }
  return load;
}

Result<std::vector<Case>> cases_of(const SimulateOptions& options) {
  std::vector<TraceSource> sources;
  for (const std::string& named : options.traces) {
    SKEP_TRY(add_sources(named, sources));
  }
  if (sources.empty()) return fail(Code::kInvalid, "skep simulate wants --trace (or --record)");
  std::vector<Case> cases;
  for (const TraceSource& source : sources) {
    simulate::TraceOptions scaling = options.scaling;
    SKEP_TRY(const double load, load_of(options, source));
    scaling.load = load;
    scaling.service_mean_s = std::chrono::duration<double>(options.service).count();
    SKEP_TRY(auto more,
             simulate::make_cases({source}, scaling, options.world, options.seed, options.repeats));
    for (Case& one : more) cases.push_back(std::move(one));
  }
  return cases;
}

// ---- one row a policy, trace and seed ----

struct Row {
  const Case* subject = nullptr;
  std::string policy;
  Outcome outcome;
  double ratio = 1;
};

// The bound has no fleet that moves task by task, so there are no waits of it.
Row bound_row(const Case& subject) {
  Row row{&subject, kClairvoyant, {}, 1};
  row.outcome.tasks = subject.trace.tasks.size();
  row.outcome.late_share = subject.bound.late_share;
  row.outcome.worker_seconds = subject.bound.worker_seconds;
  row.outcome.fleet_mean = subject.bound.fleet_mean;
  row.outcome.scale_events = 2 * static_cast<std::uint64_t>(subject.bound.boots);
  return row;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string to_json(const Row& row, const SimulateOptions& options) {
  const Outcome& out = row.outcome;
  json::object object{{"trace", api::to_valid_utf8(row.subject->trace.name)},
                      {"policy", row.policy},
                      {"seed", row.subject->seed},
                      {"wait_p50_s", out.wait_p50_s},
                      {"wait_p95_s", out.wait_p95_s},
                      {"wait_p99_s", out.wait_p99_s},
                      {"late_share", out.late_share},
                      {"worker_seconds", out.worker_seconds},
                      {"cost_ratio", row.ratio},
                      {"scale_events", out.scale_events},
                      {"cost", out.worker_seconds / 3600 * options.world.price_hour},
                      {"fleet_mean", out.fleet_mean},
                      {"tasks", out.tasks},
                      {"boot_failures", out.boot_failures},
                      {"interruptions", out.interruptions},
                      {"launches_refused", out.refused},
                      {"tasks_restarted", out.restarted},
                      {"finished", out.is_finished}};
  if (!out.queues.empty()) {
    json::array queues;
    for (const auto& queue : out.queues) {
      queues.push_back(json::object{{"queue", api::to_valid_utf8(queue.queue)},
                                    {"target_wait_s", queue.target_s},
                                    {"tasks", queue.tasks},
                                    {"wait_p50_s", queue.wait_p50_s},
                                    {"wait_p95_s", queue.wait_p95_s},
                                    {"late_share", queue.late_share}});
    }
    object["queues"] = std::move(queues);
  }
  if (options.wants_series) {
    json::array series;
    for (const simulate::Sample& sample : out.series) {
      series.push_back(json::object{{"at_s", sample.at_s},
                                    {"load", sample.load},
                                    {"running", sample.running},
                                    {"booting", sample.booting},
                                    {"backlog_s", sample.backlog_s},
                                    {"wait_p95_s", sample.wait_p95_s}});
    }
    object["series"] = std::move(series);
  }
  return json::serialize(object) + "\n";
}

std::string to_table(const std::vector<Row>& rows, const SimulateOptions& options) {
  std::vector<std::vector<std::string>> cells{{"TRACE", "SEED", "POLICY", "WAIT P50", "P95", "P99", "LATE",
                                               "WORKER-HOURS", "COST", "OF BOUND", "EVENTS", "FLEET"}};
  for (const Row& row : rows) {
    const Outcome& out = row.outcome;
    const bool has_waits = row.policy != kClairvoyant;
    const auto wait = [&](double value) { return has_waits ? fixed(value, 1) + " s" : std::string("-"); };
    cells.push_back({row.subject->trace.name, std::to_string(row.subject->seed), row.policy,
                     wait(out.wait_p50_s), wait(out.wait_p95_s), wait(out.wait_p99_s),
                     fixed(100 * out.late_share, 2) + " %", fixed(out.worker_seconds / 3600, 1),
                     fixed(out.worker_seconds / 3600 * options.world.price_hour, 2), fixed(row.ratio, 3),
                     with_thousands(out.scale_events), fixed(out.fleet_mean, 2)});
    if (!out.is_finished) cells.back().push_back("never finished");
  }
  return table(cells);
}

// The same by queue; "" where it is all one.
std::string to_queue_table(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells{
      {"TRACE", "SEED", "POLICY", "QUEUE", "START WITHIN", "TASKS", "WAIT P50", "P95", "LATE"}};
  for (const Row& row : rows) {
    for (const auto& queue : row.outcome.queues) {
      cells.push_back({row.subject->trace.name, std::to_string(row.subject->seed), row.policy, queue.queue,
                       fixed(queue.target_s, 1) + " s", with_thousands(queue.tasks),
                       fixed(queue.wait_p50_s, 1) + " s", fixed(queue.wait_p95_s, 1) + " s",
                       fixed(100 * queue.late_share, 2) + " %"});
    }
  }
  return cells.size() == 1 ? "" : "\n" + table(cells);
}

// What was simulated, in a sentence: the figures mean nothing without it.
std::string describe_world(const SimulateOptions& options) {
  const simulate::WorldOptions& world = options.world;
  return std::to_string(world.bounds.workers_min) + "-" + std::to_string(world.bounds.workers_max) +
         " workers with " + std::to_string(world.slots) + (world.slots == 1 ? " slot" : " slots") +
         ", boot " + describe_duration(world.boot) + ", late is a wait over " +
         describe_duration(world.bounds.target_wait) + ", billed at least " +
         describe_duration(world.billed_min) + "\n";
}

Result<std::vector<SizingChoice>> choices_of(const SimulateOptions& options) {
  std::vector<SizingChoice> choices;
  for (const std::string& named : options.policies) {
    if (named == kClairvoyant) continue;
    SKEP_TRY(auto choice, simulate::parse_sizing(named));
    choices.push_back(std::move(choice));
  }
  return choices;
}

Result<void> draw(const SimulateOptions& options, const Case& subject, const std::vector<Row>& rows) {
  std::vector<simulate::Line> lines;
  for (const Row& row : rows) {
    if (row.subject == &subject && row.policy != kClairvoyant)
      lines.push_back({row.policy, row.outcome.series});
  }
  const double target_s = std::chrono::duration<double>(options.world.bounds.target_wait).count();
  const std::string title = subject.trace.name + ", seed " + std::to_string(subject.seed) + ": " +
                            with_thousands(subject.trace.tasks.size()) + " tasks";
  return write_whole(options.picture_file, simulate::picture(title, lines, target_s));
}

Result<int> compare(const Context& context, const SimulateOptions& options, const std::vector<Case>& cases) {
  SKEP_TRY(const auto choices, choices_of(options));
  const bool wants_bound = std::count(options.policies.begin(), options.policies.end(), kClairvoyant) > 0;
  std::vector<Row> rows;
  for (const Case& subject : cases) {
    if (wants_bound) rows.push_back(bound_row(subject));
    for (const SizingChoice& choice : choices) {
      simulate::WorldOptions world = options.world;
      world.wants_series =
          options.wants_series || (!options.picture_file.empty() && &subject == cases.data());
      Row row{&subject, choice.label(), simulate::run(subject, choice, world), 1};
      row.ratio = simulate::cost_ratio(row.outcome, subject.bound);
      if (context.is_json) std::fputs(to_json(row, options).c_str(), stdout);
      rows.push_back(std::move(row));
    }
    if (wants_bound && context.is_json) std::fputs(to_json(bound_row(subject), options).c_str(), stdout);
  }
  if (!context.is_json) {
    std::fputs(describe_world(options).c_str(), stdout);
    std::fputs(to_table(rows, options).c_str(), stdout);
    std::fputs(to_queue_table(rows).c_str(), stdout);
  }
  if (!options.picture_file.empty()) {
    SKEP_TRY(draw(options, cases.front(), rows));
  }
  return api::kExitOk;
}

// ---- the search for settings ----

std::string tuned_json(const simulate::Tuned& tuned) {
  json::object values;
  for (std::size_t i = 0; i < tuned.choice.values.size(); ++i) {
    values[tuned.choice.kind.parameters[i].name] = tuned.choice.values[i];
  }
  return json::serialize(json::object{{"policy", tuned.choice.label()},
                                      {"settings", std::move(values)},
                                      {"cost_ratio", tuned.cost_ratio},
                                      {"late_share", tuned.late_share_mean},
                                      {"held", tuned.held},
                                      {"cases", tuned.cases}}) +
         "\n";
}

Result<int> search_settings(const Context& context, const SimulateOptions& options,
                            const std::vector<Case>& cases) {
  SKEP_TRY(const auto choices, choices_of(options));
  for (const SizingChoice& choice : choices) {
    const simulate::Tuned tuned = simulate::tune(choice, cases, options.world, options.tune);
    if (context.is_json) {
      std::fputs(tuned_json(tuned).c_str(), stdout);
      continue;
    }
    std::printf(
        "# %s: the objective is held in %u of %u cases, at %.3f times the bound's cost, %.2f %% late\n",
        std::string(choice.kind.name).c_str(), tuned.held, tuned.cases, tuned.cost_ratio,
        100 * tuned.late_share_mean);
    std::printf("policy = \"%s\"\n", tuned.choice.label().c_str());
  }
  return api::kExitOk;
}

Result<int> simulate_all(const Context& context, SimulateOptions& options) {
  if (!options.record_from.empty()) {
    SKEP_TRY(const std::string text, record_trace(options.record_from, context.access));
    if (options.output_file.empty()) {
      std::fwrite(text.data(), 1, text.size(), stdout);
    } else {
      SKEP_TRY(write_whole(options.output_file, text));
    }
    return api::kExitOk;
  }
  const scaler::Bounds& bounds = options.world.bounds;
  if (bounds.workers_min > bounds.workers_max) {
    return fail(Code::kInvalid, "--min (" + std::to_string(bounds.workers_min) + ") is more than --max (" +
                                    std::to_string(bounds.workers_max) + ")");
  }
  SKEP_TRY(options.world.bounds.objectives, scaler::parse_objectives(options.objectives));
  SKEP_TRY(choices_of(options));
  SKEP_TRY(const auto cases, cases_of(options));
  return options.is_tuning ? search_settings(context, options, cases) : compare(context, options, cases);
}

void add_world_options(CLI::App& command, SimulateOptions& options) {
  simulate::WorldOptions& world = options.world;
  const auto share = CLI::Range(0.0, 1.0);
  add_duration(command, "--boot", world.boot, "From launch until a worker asks for work");
  command.add_option("--boot-spread", world.boot_spread, "A boot takes up to this share more or less")
      ->check(share);
  command.add_option("--boot-failures", world.boot_failure_share, "Share of launches that never come up")
      ->check(share);
  command.add_option("--min", world.bounds.workers_min, "Workers at least")->check(CLI::Range(0, 10'000));
  command.add_option("--max", world.bounds.workers_max, "Workers at most")->check(CLI::Range(1, 10'000));
  add_duration(command, "--target-wait", world.bounds.target_wait, "A task that waits longer is late");
  add_objectives(command, options.objectives);
  command.add_option("--slots", world.slots, "Tasks that a worker runs at once")->check(CLI::Range(1, 1'024));
  command
      .add_option("--slot-gain", world.slot_gain, "What each further busy slot of a worker adds, in slots")
      ->check(share);
  command.add_option("--speeds", world.speeds, "Speeds of machines, evenly drawn")
      ->delimiter(',')
      ->check(CLI::Range(0.01, 100.0));
  command
      .add_option("--interruptions", world.interruptions_hour, "How often an hour each machine is taken away")
      ->check(CLI::Range(0.0, 60.0));
  add_duration(command, "--tick", world.tick,
               "Between decisions of skep, 500ms in a manager [5s, as the others are compared]");
  add_duration(command, "--notice", world.notice, "Before a machine is taken away");
  command
      .add_option("--launches-per-minute", world.launches_minute_max, "The provider allows; 0 is any number")
      ->check(CLI::Range(0, 100'000));
  command.add_option("--capacity", world.capacity_max, "Machines that the provider has; 0 is any number")
      ->check(CLI::Range(0, 100'000));
  add_duration(command, "--billed-min", world.billed_min, "A machine is billed at least for");
  command.add_option("--price", world.price_hour, "Of a machine for an hour")->check(CLI::Range(0.0, 1e6));
  command
      .add_option("--estimate-noise", world.estimate_noise,
                  "Standard deviation of the logarithm of estimated by true work")
      ->check(CLI::Range(0.0, 3.0));
  command.add_option("--estimate-bias", world.estimate_bias, "Estimated work is so many times the true")
      ->check(CLI::Range(0.01, 100.0));
}

void add_trace_options(CLI::App& command, SimulateOptions& options) {
  command
      .add_option("--trace", options.traces,
                  "A .csv file, a directory of them, or constant, step, ramp, burst, daily, oscillating "
                  "(with :hours=24:load=6:period=600:service=2)")
      ->delimiter(',');
  command.add_option("--load", options.load,
                     "Scale the trace so that the 99th percentile of its two-minute load is so many slots; "
                     "auto: 0.8 of the maximum unless the trace says otherwise; recorded: as it is");
  command.add_option("--times", options.scaling.times, "Each task stands for so many")
      ->check(CLI::Range(1, 1'000));
  add_duration(command, "--service", options.service, "Mean service time where a trace has only counts");
  command.add_option("--seed", options.seed, "Of all that is drawn");
  command.add_option("--repeats", options.repeats, "As often, with the seeds that follow")
      ->check(CLI::Range(1, 1'000));
}

// What would have no effect is refused.
void say_what_goes_together(CLI::App& command) {
  const auto option = [&](const char* name) { return command.get_option(name); };
  for (const char* name : {"--trials", "--late", "--budget"}) option(name)->needs(option("--tune"));
  option("--series")->needs(option("--json"));
  option("--output")->needs(option("--record"));
  for (const char* name : {"--trace", "--policy", "--tune", "--svg"})
    option("--record")->excludes(option(name));
  for (const char* name : {"--svg", "--series"}) option("--tune")->excludes(option(name));
}

}  // namespace

void add_simulate_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<SimulateOptions>();
  auto* command = app.add_subcommand("simulate", "Replay arrivals against scaling policies");
  command->footer(
      "Example: skep simulate --trace daily --policy skep,keda,clairvoyant\n"
      "Policies: skep, seed, keda, asg, hyperqueue, dask, autoscale, fixed, with parameters as in\n"
      "keda:queue_length=10; clairvoyant is the bound. docs/scaling.md tells what each does.");
  command->add_option("--policy", options->policies, "Policies to compare")->delimiter(',');
  add_trace_options(*command, *options);
  add_world_options(*command, *options);
  command->add_flag("--json", context.is_json, "Print one JSON object a line");
  command->add_flag("--series", options->wants_series,
                    "With --json: load, fleet, backlog and waits over time in each object");
  command->add_option("--svg", options->picture_file, "Draw the first trace into this file");
  command->add_flag("--tune", options->is_tuning, "Search each policy's settings for the least cost");
  command->add_option("--trials", options->tune.trials, "Settings tried by --tune")
      ->check(CLI::Range(1, 100'000));
  command->add_option("--late", options->tune.late_share_max, "Share of tasks that may be late, for --tune")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--budget", options->tune.cost_ratio_max,
                   "For --tune: the least lateness for at most so many times the bound's cost; 0: off")
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--record", options->record_from,
                      "Write what a manager at this URL has seen as a trace");
  add_access_options(*command, context.access);
  command->add_option("--output", options->output_file, "Where --record writes [standard output]");
  say_what_goes_together(*command);
  context.actions[command] = [&context, options] {
    options->tune.seed = options->seed;
    const auto code = simulate_all(context, *options);
    return code ? code.value() : report(code.error());
  };
}

}  // namespace skep::cli
