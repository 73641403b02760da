// SPDX-License-Identifier: Apache-2.0
#include "worker/executor_command.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <utility>

#include "api/json.h"
#include "task/id.h"
#include "task/limits.h"
#include "task/task.h"
#include "worker/child_process.h"
#include "worker/child_watch.h"
#include "worker/run_clock.h"
#include "worker/work_directory.h"

namespace skep::worker {
namespace {

// The worker's own trace is not the task's.
bool is_of_a_trace(std::string_view entry) {
  return entry.starts_with("TRACEPARENT=") || entry.starts_with("TRACESTATE=");
}

std::vector<std::string> environment_of(const Program& program, const api::v1::Lease& lease) {
  const auto token = LeaseToken::parse(lease.lease());
  const std::string attempt = token.has_value() ? std::to_string(token.value().number) : "";
  std::vector<std::string> out;
  for (char** entry = environ; program.inherits_environment && *entry != nullptr; ++entry) {
    if (!is_of_a_trace(*entry)) out.emplace_back(*entry);
  }
  if (!program.inherits_environment) out.push_back("PATH=" + search_path());
  out.push_back("SKEP_TASK=" + lease.task());
  out.push_back("SKEP_ATTEMPT=" + attempt);
  const TraceContext trace = parse_trace_context(lease.traceparent(), lease.tracestate());
  if (!trace.parent.empty()) out.push_back("TRACEPARENT=" + trace.parent);
  if (!trace.state.empty()) out.push_back("TRACESTATE=" + trace.state);
  return out;
}

void set_failed(api::v1::Outcome& outcome, std::string sentence, std::string_view stderr_tail = {}) {
  while (stderr_tail.ends_with('\n')) stderr_tail.remove_suffix(1);
  if (!stderr_tail.empty()) sentence += ": " + std::string(stderr_tail);
  outcome.set_failed(true);
  outcome.set_error(api::to_valid_utf8(sentence));
}

void set_failed_for_good(api::v1::Outcome& outcome, std::string sentence) {
  outcome.set_permanent(true);
  set_failed(outcome, std::move(sentence));
}

// Threads of this user, for RLIMIT_NPROC counts them all.
std::uint64_t threads_of_user() {
  namespace fs = std::filesystem;
  std::uint64_t count = 0;
  std::error_code problem;
  for (auto process = fs::directory_iterator("/proc", problem); !problem && process != end(process);
       process.increment(problem)) {
    struct stat found {};
    if (stat(process->path().c_str(), &found) != 0 || found.st_uid != geteuid()) continue;
    std::error_code ignored;
    const auto threads = fs::directory_iterator(process->path() / "task", ignored);
    if (!ignored) count += static_cast<std::uint64_t>(std::distance(begin(threads), end(threads)));
  }
  return count;
}

// What the system holds for each process by itself.
std::vector<SupervisorPlan::Rlimit> rlimits_of(const ProgramLimits& limits, const CgroupPlace& groups) {
  std::vector<SupervisorPlan::Rlimit> out;
  const auto add = [&](auto resource, std::uint64_t soft, std::uint64_t hard) {
    out.push_back({static_cast<int>(resource), {static_cast<rlim_t>(soft), static_cast<rlim_t>(hard)}});
  };
  if (limits.cpu > Duration::zero()) {
    const auto whole = static_cast<std::uint64_t>(std::chrono::ceil<seconds>(limits.cpu).count());
    add(RLIMIT_CPU, whole, whole + 1);  // SIGXCPU, and a second later SIGKILL
  }
  if (limits.memory_bytes > 0 && !groups.has(Controller::kMemory))
    add(RLIMIT_AS, limits.memory_bytes, limits.memory_bytes);
  if (limits.processes > 0 && !groups.has(Controller::kProcesses))
    add(RLIMIT_NPROC, threads_of_user() + limits.processes, threads_of_user() + limits.processes);
  return out;
}

// One run of a program, from its arguments to its outcome.
class Run {
 public:
  Run(const api::v1::Lease& lease, const Program& program, const CommandPlace& place, const Clock& clock,
      const StopSignal& stop)
      : lease_(lease), program_(program), place_(place), clock_(clock), stop_(stop), began_(clock.now()) {
    outcome_.set_lease(lease.lease());
  }

  std::optional<api::v1::Outcome> run() {
    if (auto prepared = prepare(); !prepared) {
      outcome_.set_permanent(prepared.error().code == Code::kInvalid);
      set_failed(outcome_, std::move(prepared.error().message));
      return outcome_;
    }
    auto started = ChildProcess::start(spec());
    if (started.has_error()) {
      set_failed(outcome_, std::move(started.error().message));
      return outcome_;
    }
    ChildProcess& child = started.value();
    ChildWatch watch(child, group_.get(), watch_options(), clock_, stop_);
    const Ended ended = watch.run();
    const int status = child.finish();
    const auto us = static_cast<std::uint64_t>((clock_.now() - began_) / microseconds(1));
    outcome_.set_run_us(us);
    outcome_.set_cpu_us(child.cpu_us());
    outcome_.set_memory_peak_bytes(memory_peak(child));
    if (ended == Ended::kStopped) return std::nullopt;
    program_.is_reported ? report(ended, status, watch) : judge(ended, status, watch);
    return outcome_;
  }

 private:
  // kInvalid: no retry can mend it.
  Result<void> prepare() {
    if (program_.directory.empty() || program_.is_body_file) {
      work_ = std::make_unique<WorkDirectory>(place_.directory);
      if (work_->error() != 0) {
        return fail(Code::kUnavailable,
                    "no working directory in " + place_.directory + ": " + strerror(work_->error()));
      }
    }
    const std::string body = work_ ? work_->path() + "/body" : "";
    SKEP_TRY(arguments_, fill_in(program_, {lease_.parameters().begin(), lease_.parameters().end()}, body));
    if (program_.is_body_file) {
      SKEP_TRY(write_body(body));
    }
    if (!program_.limits.need_cgroup() || place_.groups.version() == 0) return ok();
    SKEP_TRY(auto group, place_.groups.make(program_.limits.memory_bytes, program_.limits.processes));
    group_ = std::make_unique<TaskCgroup>(std::move(group));
    return ok();
  }

  Result<void> write_body(const std::string& path) const {
    const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    std::string_view left = lease_.body();
    while (file.is_open() && !left.empty()) {
      const ssize_t written = write(file.number(), left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    if (file.is_open() && left.empty()) return ok();
    return fail(Code::kUnavailable, "the body can not be written to " + path + ": " + strerror(errno));
  }

  ChildSpec spec() const {
    ChildSpec spec{arguments_, environment_of(program_, lease_),
                   program_.directory.empty() ? work_->path() : program_.directory,
                   program_.is_body_file ? std::string_view() : std::string_view(lease_.body())};
    spec.rlimits = rlimits_of(program_.limits, place_.groups);
    if (group_) {
      spec.groups = group_->entries();
      spec.processes_max = group_->processes_max();
    }
    spec.has_network = program_.has_network;
    return spec;
  }

  std::size_t output_max() const {
    const std::size_t most = limits::kResultBytesMax - (program_.is_reported ? kReportBytes : 0);
    return std::min<std::size_t>(program_.limits.output_bytes, most);
  }

  // Zero is none.
  Duration time_max() const {
    constexpr auto kMost = static_cast<std::uint64_t>(limits::kRunTimeoutMax / milliseconds(1));
    const Duration asked = milliseconds(static_cast<std::int64_t>(std::min(lease_.timeout_ms(), kMost)));
    const Duration own = program_.limits.time;
    if (asked == Duration::zero() || own == Duration::zero()) return std::max(asked, own);
    return std::min(asked, own);
  }

  WatchOptions watch_options() const {
    WatchOptions options;
    if (time_max() > Duration::zero()) options.deadline = add_saturated(began_, time_max());
    options.grace = program_.limits.grace;
    options.cpu = program_.limits.cpu;
    options.output_bytes = output_max();
    options.errors_bytes = program_.is_reported ? kReportErrorsBytes : kStderrTailBytes;
    return options;
  }

  std::uint64_t memory_peak(const ChildProcess& child) const {
    const auto of_all = group_ ? group_->memory_peak_bytes() : std::nullopt;
    return of_all.value_or(child.memory_peak_bytes());
  }

  // Why it did not end by itself; "" if it did.
  std::string problem_of(Ended ended, int status) const {
    const std::string cpu =
        "it used more than its " + format_duration(program_.limits.cpu) + " of processor time";
    switch (ended) {
      case Ended::kTooLate:
        return "ran longer than " + format_duration(time_max());
      case Ended::kTooLong:
        return "its output is larger than " + describe_bytes(output_max());
      case Ended::kTooMuchCpu:
        return cpu;
      case Ended::kStopped:
      case Ended::kByItself:
        break;
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) return cpu;
    if (group_ && group_->was_out_of_memory())
      return "it wanted more than its " + describe_bytes(program_.limits.memory_bytes) + " of memory";
    return {};
  }

  void judge(Ended ended, int status, ChildWatch& watch) {
    const std::string problem = problem_of(ended, status);
    const bool is_success = WIFEXITED(status) && program_.exit_codes.success[WEXITSTATUS(status)];
    if (ended == Ended::kTooLate) {
      outcome_.set_timed_out(true);
      set_failed(outcome_, problem, watch.errors.bytes());
    } else if (ended == Ended::kTooLong) {
      set_failed_for_good(outcome_, problem);
    } else if (!problem.empty() && !(ended == Ended::kByItself && is_success)) {
      set_failed(outcome_, problem, watch.errors.bytes());
    } else if (is_success) {
      outcome_.set_result(std::move(watch.output.bytes()));
    } else if (WIFEXITED(status)) {
      outcome_.set_permanent(program_.exit_codes.is_permanent(WEXITSTATUS(status)));
      set_failed(outcome_, "exit code " + std::to_string(WEXITSTATUS(status)), watch.errors.bytes());
    } else {
      const int number = WTERMSIG(status);
      set_failed(outcome_, "killed by signal " + std::to_string(number) + " (" + strsignal(number) + ")",
                 watch.errors.bytes());
    }
  }

  void report(Ended ended, int status, ChildWatch& watch) {
    api::v1::RunReport report;
    report.set_exit_code(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    report.set_signal(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    report.set_problem(problem_of(ended, status));
    std::string& output = watch.output.bytes();
    output.resize(std::min(output.size(), output_max()));
    report.set_output(std::move(output));
    report.set_errors(std::move(watch.errors.bytes()));
    outcome_.set_result(report.SerializeAsString());
  }

  const api::v1::Lease& lease_;
  const Program& program_;
  const CommandPlace& place_;
  const Clock& clock_;
  const StopSignal& stop_;
  const Instant began_;
  api::v1::Outcome outcome_;
  std::vector<std::string> arguments_;
  std::unique_ptr<WorkDirectory> work_;
  std::unique_ptr<TaskCgroup> group_;
};

}  // namespace

std::string limits_in_words(const CommandPlace& place) {
  const std::string group = "cgroup v" + std::to_string(place.groups.version());
  const auto held = [&](Controller controller, const std::string& otherwise) {
    return place.groups.has(controller) ? group : otherwise;
  };
  return "memory by " + held(Controller::kMemory, "rlimit, each process by itself") + "; processes by " +
         held(Controller::kProcesses, geteuid() == 0 ? "nothing, as root is exempt from the rlimit"
                                                     : "rlimit, of all that this user runs") +
         "; processor time by " + held(Controller::kCpu, "rlimit, each process by itself");
}

Result<void> check_place(const Programs& programs, const CommandPlace& place) {
  const auto wrong = [](const std::string& name, const std::string& what) {
    return fail(Code::kInvalid, "program " + name + ": " + what);
  };
  for (const auto& [name, program] : programs) {
    const bool is_unbounded = geteuid() == 0 && !place.groups.has(Controller::kProcesses);
    if (program.limits.processes > 0 && is_unbounded) {
      return wrong(name,
                   "its processes can not be limited here: root is exempt from the system's limit, and no "
                   "cgroup can be made; run the worker as another user, or where it may make cgroups");
    }
    if (program.has_network) continue;
    if (const int problem = probe_no_network(); problem != 0) {
      return wrong(name, std::string("it can not be kept from the network here, as the system refuses a "
                                     "network namespace (") +
                             strerror(problem) +
                             "): allow user namespaces, run the worker as root, or take network=off away");
    }
  }
  return ok();
}

std::optional<api::v1::Outcome> run_command(api::v1::Lease lease, const Programs& programs,
                                            const CommandPlace& place, const Clock& clock,
                                            const StopSignal& stop) {
  const auto program = programs.find(lease.program());
  if (program != programs.end()) return Run(lease, program->second, place, clock, stop).run();
  api::v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  set_failed_for_good(outcome, "this worker lists no program \"" + lease.program() + "\"");
  return outcome;
}

}  // namespace skep::worker
