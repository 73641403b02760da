// SPDX-License-Identifier: Apache-2.0
// processes.h - what tests of child processes look at: other processes, own children, a directory of their
// own.
//
// Threads:   any thread.
// Errors:    what a test cannot go on without is a failure of the test.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/clock.h"

namespace skep::worker::testing {

inline constexpr Duration kPatience = seconds(60);

// Asks again until it is so. False: it was not within the patience.
template <class F>
bool eventually(F is_so) {
  const SystemClock clock;
  const Instant deadline = clock.now() + kPatience;
  while (!is_so()) {
    if (clock.now() > deadline) return false;
    poll(nullptr, 0, 2);
  }
  return true;
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// It runs no more: it is gone, or waits to be reaped by whoever that is.
inline bool is_dead(pid_t pid) {
  const std::string stat = contents("/proc/" + std::to_string(pid) + "/stat");
  const auto end_of_name = stat.rfind(") ");
  return end_of_name == std::string::npos || stat[end_of_name + 2] == 'Z' || stat[end_of_name + 2] == 'X';
}

// No child of this process is left, running or to be reaped.
inline bool has_no_child() {
  return waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(::testing::TempDir() + "skep_worker_XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no directory " << path_;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

}  // namespace skep::worker::testing
