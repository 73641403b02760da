// SPDX-License-Identifier: Apache-2.0
// context.h - what every subcommand shares: the global options, how it reports, how it reaches a manager.
//
// Threads:   the main thread.
// Errors:    a person's mistake ends in one sentence on stderr, "skep: ...", and an exit code of
// api/errors.h.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/runner.h"
#include "cli/access.h"
#include "client/client.h"
#include "task/trace_context.h"

namespace skep::cli {

struct Context {
  std::string manager = "http://127.0.0.1:8080";
  Access access;  // of client commands and workers
  bool is_json = false;
  bool is_check_only = false;
  std::string log_level = "info";
  std::vector<std::string> words;  // behind "--" of skep run
  // What each subcommand does once the command line is understood; gives the exit code.
  std::map<const CLI::App*, std::function<int()>> actions;
  // What a subcommand refuses although each of its options is right by itself.
  std::map<const CLI::App*, std::function<Result<void>()>> checks;

  Logger logger(std::string_view name) const;
};

// The trace that this program was started in, by TRACEPARENT and TRACESTATE of its environment; none if those
// do not say so validly.
TraceContext own_trace();

// Prints `error` as one sentence and gives its exit code.
int report(const Error& error);

// An option whose value is a duration ("30s"), or bytes ("64MiB"). What does not parse is refused with a
// sentence.
CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& value, const std::string& what);
CLI::Option* add_log_level(CLI::App& app, const std::string& name, std::string& value,
                           const std::string& what);
// --queue-objective. What does not parse is refused with a sentence.
CLI::Option* add_objectives(CLI::App& app, std::vector<std::string>& value);
CLI::Option* add_programs(CLI::App& app, std::vector<std::string>& value);         // --command
CLI::Option* add_program_options(CLI::App& app, std::vector<std::string>& value);  // --command-option
CLI::Option* add_managers(CLI::App& app, std::string& value);                      // --manager
void add_client_options(CLI::App& app, Context& context);  // --manager, --json, and those of cli/access.h

// A client of the manager that --manager names, with the threads that it needs.
class Remote {
 public:
  // kInvalid: not URLs, no token in its file. kUnavailable: no manager is there, also not in a few seconds.
  static Result<std::unique_ptr<Remote>> connect(const std::string& managers, const Access& access);
  static Result<std::unique_ptr<Remote>> connect(const Context& context) {
    return connect(context.manager, context.access);
  }

  client::Client& client() { return *client_; }
  const Clock& clock() const { return clock_; }
  client::CallOptions within(Duration timeout) const {
    return {clock_.now() + timeout, client::Retry::kUntilDeadline};
  }
  std::string address() const { return client_->current_manager(); }

  // Calls `start` with a callback and waits for its answer.
  template <class T>
  Result<T> wait(std::function<void(client::Client&, UniqueFunction<void(Result<T>)>)> start) {
    return client::wait_for<T>(
        [this, start = std::move(start)](UniqueFunction<void(Result<T>)> done) mutable {
          start(*client_, std::move(done));
        });
  }

 private:
  Remote(std::vector<http::Url> managers, http::ClientOptions http);

  SystemClock clock_;
  Runner runner_;
  http::Client http_;
  std::unique_ptr<client::Client> client_;
};

// Each adds one or more subcommands.
void add_serve_commands(CLI::App& app, Context& context);    // up, manager
void add_worker_command(CLI::App& app, Context& context);    // worker
void add_task_commands(CLI::App& app, Context& context);     // enqueue, pull, get, cancel, retry
void add_status_command(CLI::App& app, Context& context);    // status
void add_explain_command(CLI::App& app, Context& context);   // explain
void add_scale_command(CLI::App& app, Context& context);     // scale
void add_run_command(CLI::App& app, Context& context);       // run
void add_verify_command(CLI::App& app, Context& context);    // verify
void add_token_command(CLI::App& app, Context& context);     // token
void add_simulate_command(CLI::App& app, Context& context);  // simulate
void add_demo_command(CLI::App& app, Context& context);      // demo
void add_aws_command(CLI::App& app, Context& context);       // aws

}  // namespace skep::cli
