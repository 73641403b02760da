// SPDX-License-Identifier: Apache-2.0
// enqueue, pull, get, cancel, retry: a client on the command line.
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <utility>

#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "task/limits.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(30);
constexpr std::size_t kBatchTasks = 100;

// Runs `use` with a connected client; what goes wrong is reported.
template <class Use>
int with_remote(const Context& context, Use use) {
  auto remote = Remote::connect(context);
  if (!remote) return report(remote.error());
  Result<int> code = use(*remote.value());
  return code ? code.value() : report(code.error());
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& input = path == "-" ? std::cin : file;
  if (path != "-" && !file.is_open())
    return fail(Code::kInvalid, "'" + path + "' can not be read: check that it exists and is yours to read");
  // read() reports by the stream's state; an istreambuf_iterator would throw on a directory.
  std::string body(limits::kBodyBytesMax + 1, '\0');
  input.read(body.data(), static_cast<std::streamsize>(body.size()));
  if (input.bad())
    return fail(Code::kInvalid, "'" + path + "' is a directory or broke off while it was read");
  body.resize(static_cast<std::size_t>(input.gcount()));
  if (body.size() > limits::kBodyBytesMax) {
    return fail(Code::kInvalid, "'" + path + "' is too large; a task's body may have " +
                                    describe_bytes(limits::kBodyBytesMax));
  }
  return body;
}

struct EnqueueOptions {
  std::vector<std::string> files;
  v1::TaskOptions task;
  std::uint32_t priority = limits::kPriorityDefault;
  Duration delay{};
  Duration start_deadline{};
  Duration timeout{};
  bool has_no_checkpoint = false;
  bool is_waiting = false;
};

std::uint64_t to_ms(Duration duration) {
  return static_cast<std::uint64_t>(duration_cast<milliseconds>(duration).count());
}

// All files are read before any is enqueued: a name that is wrong enqueues nothing.
Result<std::vector<v1::EnqueueBatchRequest>> make_batches(const EnqueueOptions& options) {
  v1::TaskOptions task = options.task;
  task.set_priority(options.priority);
  task.set_delay_ms(to_ms(options.delay));
  task.set_start_deadline_ms(to_ms(options.start_deadline));
  task.set_timeout_ms(to_ms(options.timeout));
  if (options.has_no_checkpoint) task.set_checkpoint(false);
  const TraceContext trace = own_trace();
  task.set_traceparent(trace.parent);
  task.set_tracestate(trace.state);
  std::vector<v1::EnqueueBatchRequest> batches;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < options.files.size(); ++i) {
    SKEP_TRY(auto body, read_file(options.files[i]));
    bytes += body.size();
    const bool is_full = batches.empty() || batches.back().tasks_size() == static_cast<int>(kBatchTasks) ||
                         bytes > limits::kBatchBytesMax / 2;
    if (is_full) {
      batches.emplace_back();
      bytes = body.size();
    }
    auto& item = *batches.back().add_tasks();
    *item.mutable_options() = task;
    // With several files the key is each one's own, or they would be one task.
    if (!task.idempotency_key().empty() && options.files.size() > 1)
      item.mutable_options()->set_idempotency_key(task.idempotency_key() + "-" + std::to_string(i));
    item.set_body(std::move(body));
  }
  return batches;
}

// What was printed here is delivered: nobody needs to pull it.
Result<void> acknowledge(Remote& remote, const std::vector<std::string>& ids) {
  v1::AckRequest request;
  for (const auto& id : ids) request.add_ids(id);
  if (ids.empty()) return ok();
  SKEP_TRY(remote.wait<v1::AckReply>([&](client::Client& client, auto done) {
    client.ack_results(request, remote.within(kCallTimeout), std::move(done));
  }));
  return ok();
}

// Waits for one task after the other, and says once what it waits for if nothing comes for some seconds.
class Waiting {
 public:
  Waiting(Remote& remote, ProgressBar& progress) : remote_(remote), progress_(progress) {}

  // The task when it is done, dead or cancelled. `done`: how many were before it.
  Result<v1::Task> wait(const std::string& id, std::uint64_t done) {
    const Instant began = remote_.clock().now();
    Instant answered = began;
    for (;;) {
      progress_.show(done, {});
      auto seen = remote_.wait<v1::Task>([&](client::Client& client, auto callback) {
        client.get_task(id, kPatience, remote_.within(2 * kPatience), std::move(callback));
      });
      const Instant now = remote_.clock().now();
      if (!seen) {
        const bool is_away = api::info(seen.error().code).is_retryable;
        if (!is_away || now - answered >= kAwayMax) return seen.error();
        tell(is_away_told_, "no manager answers yet: " + seen.error().message);
        continue;
      }
      const auto& state = seen.value().state();
      if (state == "done" || state == "dead" || state == "cancelled") return seen;
      answered = now;
      is_away_told_ = false;
      if (now - began >= kPatience) tell(is_told_, id + " is " + state + ". " + seen.value().explanation());
    }
  }

 private:
  static constexpr Duration kPatience = seconds(3);
  static constexpr Duration kAwayMax = seconds(40);

  void tell(bool& is_told, const std::string& line) {
    if (!std::exchange(is_told, true)) progress_.note(line);
  }

  Remote& remote_;
  ProgressBar& progress_;
  bool is_told_ = false;
  bool is_away_told_ = false;
};

Result<int> wait_for_tasks(Remote& remote, const Context& context, const EnqueueOptions& options,
                           const std::vector<std::string>& ids) {
  ProgressBar progress(remote.clock(), "waiting", ids.size());
  Waiting waiting(remote, progress);
  int code = api::kExitOk;
  std::vector<std::string> printed;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SKEP_TRY(const v1::Task task, waiting.wait(ids[i], i));
    progress.show(i + 1, {});
    if (task.state() != "done") code = api::kExitFailure;
    if (task.state() == "done") printed.push_back(task.id());
    if (context.is_json) {
      std::printf("%s\n", api::to_json(task).c_str());
    } else if (task.state() == "done") {
      std::printf("%s  %s  %s\n", ids[i].c_str(), options.files[i].c_str(),
                  show_result(task.id(), task.result(), task.result_bytes()).c_str());
    } else {
      std::printf("%s  %s  %s: %s\n", ids[i].c_str(), options.files[i].c_str(), task.state().c_str(),
                  task.reason().c_str());
    }
  }
  SKEP_TRY(acknowledge(remote, printed));
  return code;
}

int enqueue(const Context& context, const EnqueueOptions& options) {
  auto batches = make_batches(options);
  if (!batches) return report(batches.error());
  const bool is_hashed = options.task.kind().empty() || options.task.kind() == "sha512";
  if (is_hashed && options.task.iterations() == 0)
    return report(
        fail(Code::kInvalid, "--iterations is missing: say how many hashes, such as --iterations 1000"));
  return with_remote(context, [&](Remote& remote) -> Result<int> {
    std::vector<std::string> ids;
    for (auto& batch : batches.value()) {
      auto call = remote.within(kCallTimeout);
      call.missing_key = client::MissingKey::kMake;  // so that it may be sent again
      auto reply = remote.wait<v1::EnqueueBatchReply>(
          [&](client::Client& client, auto done) { client.enqueue_batch(batch, call, std::move(done)); });
      if (!reply) return reply.error();
      for (const auto& task : reply.value().tasks()) {
        if (!options.is_waiting)
          std::printf("%s\n", context.is_json ? api::to_json(task).c_str()
                                              : (task.id() + "  " + options.files[ids.size()]).c_str());
        ids.push_back(task.id());
      }
    }
    if (!options.is_waiting) return api::kExitOk;
    return wait_for_tasks(remote, context, options, ids);
  });
}

// What is wrong with it; "" if nothing. CLI11 alone would take -1 for the largest number.
std::string refuse_iterations(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole = problem == std::errc() && end == text.data() + text.size();
  if (is_whole && number >= 1 && number <= limits::kIterationsMax) return {};
  return "'" + text + "' is no number of hashes: from 1 to " + with_thousands(limits::kIterationsMax);
}

void add_enqueue(CLI::App& app, Context& context) {
  auto options = std::make_shared<EnqueueOptions>();
  auto* command = app.add_subcommand("enqueue", "Put files on a queue, one task each");
  command->footer(
      "Example: skep enqueue --iterations 1000 --wait /etc/passwd /etc/group\n         seq 5 | skep enqueue "
      "- --iterations 1");
  command->add_option("FILE", options->files, "Files; - is standard input")->required();
  command
      ->add_option_function<std::uint64_t>(
          "--iterations,-n", [options](const std::uint64_t& n) { options->task.set_iterations(n); },
          "Hashes, for kind sha512")
      ->check(CLI::Validator(refuse_iterations, ""));
  command->add_option_function<std::string>(
      "--queue", [options](const std::string& v) { options->task.set_queue(v); }, "Queue [default]");
  command->add_option_function<std::string>(
      "--kind", [options](const std::string& v) { options->task.set_kind(v); }, "sha512 or command [sha512]");
  command->add_option_function<std::string>(
      "--program", [options](const std::string& v) { options->task.set_program(v); },
      "Program, for kind command");
  command->add_option_function<std::vector<std::string>>(
      "--parameter",
      [options](const std::vector<std::string>& parameters) {
        for (const auto& parameter : parameters) options->task.add_parameters(parameter);
      },
      "NAME=VALUE, for a program that declares it; may be repeated");
  command->add_option_function<std::string>(
      "--key", [options](const std::string& v) { options->task.set_idempotency_key(v); },
      "Idempotency key: the same key is the same task");
  command->add_option_function<std::vector<std::string>>(
      "--tag",
      [options](const std::vector<std::string>& tags) {
        for (const auto& tag : tags) options->task.add_tags(tag);
      },
      "Tag; may be repeated");
  command->add_option("--priority", options->priority, "0-9, 9 goes first")->check(CLI::Range(0, 9));
  command
      ->add_option_function<std::uint32_t>(
          "--max-attempts", [options](const std::uint32_t& n) { options->task.set_max_attempts(n); },
          "Failures before it is dead [5]")
      ->check(CLI::Range(1, 100));
  add_duration(*command, "--delay", options->delay, "Before it may start");
  add_duration(*command, "--start-deadline", options->start_deadline,
               "Not started so long after it could: dead; 0s is never");
  add_duration(*command, "--timeout", options->timeout, "Of one attempt; 0s is none");
  command->add_flag("--no-checkpoint", options->has_no_checkpoint,
                    "For kind sha512: an attempt leaves nothing to the next one");
  command->add_flag("--wait", options->is_waiting, "Wait for the results and print them");
  add_client_options(*command, context);
  context.actions[command] = [&context, options] { return enqueue(context, *options); };
}

int pull(const Context& context, std::uint32_t top) {
  return with_remote(context, [&](Remote& remote) -> Result<int> {
    using Results = std::vector<client::Client::PulledResult>;
    auto results = remote.wait<Results>([&](client::Client& client, auto done) {
      client.pull_completed(top, remote.within(kCallTimeout), std::move(done));
    });
    if (!results) return results.error();
    if (results.value().empty() && !context.is_json)
      std::fputs("nothing is completed that was not pulled before\n", stderr);
    for (const auto& result : results.value()) {
      if (context.is_json) {
        v1::ResultItem item;
        item.set_id(result.id);
        item.set_result(result.result);
        std::printf("%s\n", api::to_json(item).c_str());
      } else {
        std::printf("%s  %s\n", result.id.c_str(),
                    show_result(result.id, result.result, result.result.size()).c_str());
      }
    }
    return api::kExitOk;
  });
}

void print_task(const Context& context, const v1::Task& task, Instant now) {
  std::fputs(context.is_json ? (api::to_json(task) + "\n").c_str() : describe_task(task, now).c_str(),
             stdout);
}

using OneTask = void (*)(client::Client&, std::string id, client::CallOptions,
                         client::Client::Done<v1::Task>);

void add_one_task(CLI::App& app, Context& context, const std::string& name, const std::string& what,
                  OneTask call) {
  auto id = std::make_shared<std::string>();
  auto* command = app.add_subcommand(name, what);
  command->footer("Example: skep " + name + " 00000g00000000000001");
  command->add_option("ID", *id, "Id of the task")->required();
  add_client_options(*command, context);
  context.actions[command] = [&context, id, call] {
    return with_remote(context, [&](Remote& remote) -> Result<int> {
      auto task = remote.wait<v1::Task>([&](client::Client& client, auto done) {
        call(client, *id, remote.within(kCallTimeout), std::move(done));
      });
      if (!task) return task.error();
      print_task(context, task.value(), remote.clock().now());
      return api::kExitOk;
    });
  };
}

int get_result(const Context& context, const std::string& id) {
  return with_remote(context, [&](Remote& remote) -> Result<int> {
    SKEP_TRY(const auto result, remote.wait<std::string>([&](client::Client& client, auto done) {
      client.get_result(id, remote.within(kCallTimeout), std::move(done));
    }));
    std::fwrite(result.data(), 1, result.size(), stdout);
    return api::kExitOk;
  });
}

void add_get(CLI::App& app, Context& context) {
  add_one_task(app, context, "get", "Show a task and why it is where it is",
               [](client::Client& client, std::string id, client::CallOptions call,
                  client::Client::Done<v1::Task> done) {
                 client.get_task(std::move(id), Duration::zero(), call, std::move(done));
               });
  auto* command = app.get_subcommand("get");
  auto is_result = std::make_shared<bool>(false);
  command->add_flag("--result", *is_result, "Only the result, byte by byte");
  context.actions[command] = [&context, command, is_result, show = context.actions[command]] {
    return *is_result ? get_result(context, command->get_option("ID")->as<std::string>()) : show();
  };
}

}  // namespace

void add_task_commands(CLI::App& app, Context& context) {
  add_enqueue(app, context);
  auto top = std::make_shared<std::uint32_t>(100);
  auto* command = app.add_subcommand("pull", "Take results, each once, the oldest first");
  command->footer("Example: skep pull --top 10");
  command->add_option("--top", *top, "How many at most")
      ->check(CLI::Range(1u, static_cast<unsigned>(limits::kPullMax)));
  add_client_options(*command, context);
  context.actions[command] = [&context, top] { return pull(context, *top); };
  add_get(app, context);
  add_one_task(
      app, context, "cancel", "Cancel an unfinished task",
      [](client::Client& client, std::string id, client::CallOptions call,
         client::Client::Done<v1::Task> done) { client.cancel_task(std::move(id), call, std::move(done)); });
  add_one_task(
      app, context, "retry", "Queue a dead task again",
      [](client::Client& client, std::string id, client::CallOptions call,
         client::Client::Done<v1::Task> done) { client.retry_task(std::move(id), call, std::move(done)); });
}

}  // namespace skep::cli
