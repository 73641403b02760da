// SPDX-License-Identifier: Apache-2.0
// child_process.h - a program in a process group of its own, its output readable, its end waited for.
//
// The child gets its input as a file, an environment and a directory as given, default signals, no core dumps
// and no descriptor of this process beside 0, 1 and 2. It dies with the thread that started it.
//
// Threads:   one thread, the one that started it.
// Errors:    start: kUnavailable, a sentence with the system's reason; nothing is left behind.
// Ownership: the destructor kills the group and reaps the child.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "worker/descriptor.h"

namespace skep::worker {

struct ChildSpec {
  std::vector<std::string> argv;         // argv[0] is the path of the program
  std::vector<std::string> environment;  // NAME=VALUE
  std::string directory;
  std::string_view input;
};

class ChildProcess {
 public:
  static Result<ChildProcess> start(const ChildSpec& spec);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  const Descriptor& output() const { return output_; }    // not blocking
  const Descriptor& errors() const { return errors_; }    // not blocking
  int exit_descriptor() const { return exit_.number(); }  // readable once the child has ended

  // Ends what is left of the group, waits for the child and returns its status as waitpid(2) does.
  // Idempotent.
  int finish();

 private:
  ChildProcess() = default;

  pid_t pid_ = -1;
  Descriptor output_;
  Descriptor errors_;
  Descriptor exit_;
  bool is_finished_ = false;
  int status_ = 0;
};

}  // namespace skep::worker
