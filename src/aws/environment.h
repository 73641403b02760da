// SPDX-License-Identifier: Apache-2.0
// environment.h - what credentials and region are read from, as functions that a test replaces.
//
// Threads:   as the functions given; own_environment() is for one thread.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace skep::aws {

struct Environment {
  std::function<std::string(const std::string& name)> variable;  // "" where there is none
  // kNotFound: there is no such file. kInvalid: it can not be read.
  std::function<Result<std::string>(const std::string& path)> read_file;
  // Standard output of a command of the shell. kInvalid: it did not exit with 0.
  std::function<Result<std::string>(const std::string& command)> run;
};

// The machine's own.
Environment own_environment();

// Between two tries.
class Pauses {
 public:
  virtual ~Pauses() = default;
  virtual void pause(Duration duration) = 0;
};

}  // namespace skep::aws
