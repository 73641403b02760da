// SPDX-License-Identifier: Apache-2.0
// verify: whether a store that nobody has open is sound.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/output.h"
#include "store/verify.h"
#include "task/task.h"

namespace skep::cli {
namespace {

namespace json = boost::json;

constexpr TaskState kStates[] = {TaskState::kQueued, TaskState::kDelayed, TaskState::kLeased,
                                 TaskState::kDone,   TaskState::kDead,    TaskState::kCancelled};

std::uint64_t count_of(const store::VerifyReport& report, TaskState state) {
  return report.tasks_by_state[static_cast<std::size_t>(state)];
}

// The findings one a line, then what was looked at, then the word.
std::string describe(const std::string& directory, const store::VerifyReport& report) {
  std::string text;
  for (const auto& finding : report.findings) text += finding.to_string() + "\n";
  if (report.findings_left_out > 0) {
    text += "and " + with_thousands(report.findings_left_out) + " findings more\n";
  }
  std::string tasks = with_thousands(report.tasks);
  for (const auto state : kStates) {
    tasks += (state == kStates[0] ? ": " : ", ") + with_thousands(count_of(report, state)) + " " +
             std::string(state_name(state));
  }
  const auto with_bytes = [](std::uint64_t count, std::uint64_t bytes) {
    return with_thousands(count) + ", " + describe_bytes(bytes);
  };
  std::vector<std::vector<std::string>> rows{
      {"store", directory + (report.was_sealed ? ", closed cleanly" : ", not closed cleanly")}};
  if (report.was_read) {
    rows.push_back({"data files", with_bytes(report.data_files, report.data_bytes)});
    if (!report.was_sealed && report.engine != "log")
      rows.push_back({"logs", with_bytes(report.logs, report.log_bytes)});
    rows.push_back({"shards", std::to_string(report.shards)});
    rows.push_back({"queues", with_thousands(report.queues) + " with settings of their own"});
    rows.push_back({"tasks", tasks});
    rows.push_back({"bodies", with_bytes(report.bodies, report.body_bytes)});
    rows.push_back({"results", with_bytes(report.results, report.result_bytes)});
  }
  text += table(rows);
  for (const auto& note : report.notes) text += "note: " + note + "\n";
  if (!report.was_read) text += "it can not be opened: the records were not looked at\n";
  if (report.is_clean()) return text + "clean\n";
  const auto count = report.findings.size() + report.findings_left_out;
  return text + with_thousands(count) + (count == 1 ? " finding\n" : " findings\n");
}

std::string to_json(const std::string& directory, const store::VerifyReport& report) {
  json::array findings;
  for (const auto& finding : report.findings) {
    findings.push_back(json::object{{"place", api::to_valid_utf8(finding.place)},
                                    {"what", api::to_valid_utf8(finding.what)}});
  }
  json::array notes;
  for (const auto& note : report.notes) notes.push_back(json::value(api::to_valid_utf8(note)));
  json::object tasks{{"total", report.tasks}};
  for (const auto state : kStates) tasks[state_name(state)] = count_of(report, state);
  return json::serialize(json::object{{"store", api::to_valid_utf8(directory)},
                                      {"engine", report.engine},
                                      {"clean", report.is_clean()},
                                      {"opened", report.was_read},
                                      {"sealed", report.was_sealed},
                                      {"data_files", report.data_files},
                                      {"data_bytes", report.data_bytes},
                                      {"logs", report.logs},
                                      {"log_bytes", report.log_bytes},
                                      {"shards", report.shards},
                                      {"queues", report.queues},
                                      {"tasks", std::move(tasks)},
                                      {"bodies", report.bodies},
                                      {"body_bytes", report.body_bytes},
                                      {"results", report.results},
                                      {"result_bytes", report.result_bytes},
                                      {"notes", std::move(notes)},
                                      {"findings", std::move(findings)},
                                      {"findings_left_out", report.findings_left_out}});
}

int verify(const Context& context, std::string directory) {
  std::string engine;  // "": whichever it is
  for (const std::string name : {"rocksdb", "log"}) {
    if (!directory.starts_with(name + ":")) continue;
    engine = name;
    directory.erase(0, name.size() + 1);
    break;
  }
  if (directory.empty()) return report(fail(Code::kInvalid, "skep verify wants the directory of a store"));
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  store::VerifyOptions options;
  options.directory = directory;
  const auto verified = store::verify_store(options);
  if (!verified) return report(verified.error());
  const std::string& found = verified.value().engine;
  if (!engine.empty() && !found.empty() && found != engine) {
    return report(fail(Code::kInvalid, "the store in " + directory + " was made by the engine " + found +
                                           ": name it as " + found + ":" + directory));
  }
  const std::string text =
      context.is_json ? to_json(directory, verified.value()) + "\n" : describe(directory, verified.value());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return verified.value().is_clean() ? api::kExitOk : api::kExitFailure;
}

}  // namespace

void add_verify_command(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("verify", "Check every byte and every rule of a store that is not open");
  command->footer(
      "Example: skep verify /var/lib/skep\n"
      "Prints one line for each finding and exits 1 if there is any. Changes nothing. Stop the manager "
      "first:\n"
      "a store in use is refused with exit code 9.");
  auto directory = std::make_shared<std::string>();
  command->add_option("DIR", *directory, "The store's directory, also as rocksdb:DIR or log:DIR")->required();
  command->add_flag("--json", context.is_json, "Print JSON");
  context.actions[command] = [&context, directory] { return verify(context, *directory); };
}

}  // namespace skep::cli
