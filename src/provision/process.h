// SPDX-License-Identifier: Apache-2.0
// process.h - the provisioner of this machine: workers are child processes of the manager.
//
// They die with it: by SIGTERM when it ends in any way. An exit is seen within milliseconds and told by
// on_change; list() names what runs, and for a while what is gone with how it ended.
//
// Threads:   calls and replies on the executor; children are started and watched by a thread of its own. The
//            constructor and destructor from any thread.
// Errors:    launch: kInvalid (the program cannot be run), kUnavailable (no processes, descriptors or memory,
//            or it is ending); never kUnknownOutcome. list and terminate do not fail.
// Ownership: borrows the executor. The destructor asks every child to end, kills those that do not within the
//            grace, and waits for all. A reply that was on its way may still run on the executor after that;
//            on_change does not.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "scaler/provisioner.h"

namespace skep::provision {

struct ProcessOptions {
  std::vector<std::string> command;  // path of the program, then its arguments
  // What comes behind these for the worker that says `token` of itself.
  std::function<std::vector<std::string>(const std::string& token)> arguments_for;
  std::string log_file;         // what workers print is appended here; "": they inherit stdout and stderr
  Duration grace = seconds(5);  // between SIGTERM and SIGKILL
  // What workers are to know and nobody else: each finds it in a file in memory, of which `secret_flag` and a
  // path tell it. "": there is none.
  std::string secret = {};
  std::string secret_flag = {};
};

class ProcessProvisioner final : public scaler::Provisioner {
 public:
  ProcessProvisioner(Executor& executor, ProcessOptions options, Logger log);
  ~ProcessProvisioner() override;
  ProcessProvisioner(const ProcessProvisioner&) = delete;
  ProcessProvisioner& operator=(const ProcessProvisioner&) = delete;

  std::string name() const override { return "process"; }
  void list(ListDone done) override;
  void launch(std::uint32_t count, std::string token, LaunchDone done) override;
  void terminate(std::vector<std::string> ids, TerminateDone done) override;
  void on_change(Changed changed) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::provision
