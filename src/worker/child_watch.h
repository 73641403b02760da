// SPDX-License-Identifier: Apache-2.0
// child_watch.h - one child from its start to its end: takes what it writes, and ends it when it has to.
//
// Threads:   one thread; run() blocks it.
// Ownership: borrows the child, the clock, the signal and the cgroup.
// Units:     base/time.h types, bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "worker/cgroup.h"
#include "worker/child_process.h"
#include "worker/stop_signal.h"

namespace skep::worker {

// What comes out of a pipe: the beginning up to a limit, or the end.
class Collected {
 public:
  enum class Keep : std::uint8_t { kBeginning, kEnd };
  Collected(Keep keep, std::size_t bytes_max) : keep_(keep), bytes_max_(bytes_max) {}

  // Takes what is there. False: nothing will come any more.
  bool read_from(const Descriptor& descriptor);
  bool is_too_long() const { return keep_ == Keep::kBeginning && bytes_.size() > bytes_max_; }
  std::string& bytes() { return bytes_; }

 private:
  void add(std::string_view more);

  Keep keep_;
  std::size_t bytes_max_;
  std::string bytes_;
};

enum class Ended : std::uint8_t { kByItself, kStopped, kTooLate, kTooLong, kTooMuchCpu };

struct WatchOptions {
  Instant deadline = kNever;
  Duration grace{};  // after SIGTERM at the deadline
  Duration cpu{};    // of all its processes, as `group` counts it; 0 is no limit
  std::size_t output_bytes = 0;
  std::size_t errors_bytes = 0;  // the last of them
};

class ChildWatch {
 public:
  // `group`: null if there is none.
  ChildWatch(ChildProcess& child, const TaskCgroup* group, const WatchOptions& options, const Clock& clock,
             const StopSignal& stop)
      : output(Collected::Keep::kBeginning, options.output_bytes),
        errors(Collected::Keep::kEnd, options.errors_bytes),
        child_(child),
        group_(group),
        options_(options),
        clock_(clock),
        stop_(stop) {}

  Ended run();

  Collected output;
  Collected errors;

 private:
  std::optional<Ended> look(bool has_ended);
  int patience_ms() const;

  ChildProcess& child_;
  const TaskCgroup* group_;
  const WatchOptions options_;
  const Clock& clock_;
  const StopSignal& stop_;
  bool has_output_ = true;
  bool has_errors_ = true;
  std::optional<Ended> ending_;  // why it was asked to end
  Instant kill_at_ = kNever;
};

}  // namespace skep::worker
