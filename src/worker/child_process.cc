// SPDX-License-Identifier: Apache-2.0
#include "worker/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"

namespace skep::worker {
namespace {

Error system_error(std::string_view what, int number) {
  return fail(Code::kUnavailable, std::string(what) + ": " + std::strerror(number));
}

// The same file above the three standard descriptors: the child moves descriptors onto those.
Result<Descriptor> above_standard(Descriptor descriptor) {
  if (!descriptor.is_open()) return system_error("no descriptor for a child", errno);
  if (descriptor.number() > STDERR_FILENO) return descriptor;
  Descriptor copy(fcntl(descriptor.number(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy.is_open()) return system_error("no descriptor for a child", errno);
  return copy;
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Result<Pipe> make_pipe() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe for a child", errno);
  Descriptor read(ends[0]);
  Descriptor write(ends[1]);
  SKEP_TRY(auto high_read, above_standard(std::move(read)));
  SKEP_TRY(auto high_write, above_standard(std::move(write)));
  return Pipe{std::move(high_read), std::move(high_write)};
}

// A file in memory: unlike a pipe nobody has to feed it, and the child may seek in it or ignore it.
Result<Descriptor> make_input(std::string_view bytes) {
  SKEP_TRY(auto file, above_standard(Descriptor(memfd_create("skep-input", MFD_CLOEXEC))));
  while (!bytes.empty()) {
    const ssize_t written = write(file.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error("no memory for a child's input", errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  lseek(file.number(), 0, SEEK_SET);
  return file;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  // execve(2) takes pointers to char that it does not write through.
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

void set_nonblocking(const Descriptor& descriptor) {
  fcntl(descriptor.number(), F_SETFL, fcntl(descriptor.number(), F_GETFL) | O_NONBLOCK);
}

// False: the supervisor is dead and has said nothing.
bool read_report(const Descriptor& report, SupervisorReport& out) {
  ssize_t size = 0;
  do {
    size = read(report.number(), &out, sizeof out);
  } while (size < 0 && errno == EINTR);
  return size == sizeof out;
}

void limit(const ChildSpec& spec, SupervisorPlan& plan) {
  SKEP_CHECK(spec.rlimits.size() <= plan.rlimits.size() && spec.groups.size() <= plan.groups.size(),
             "a child has few limits");
  std::copy(spec.rlimits.begin(), spec.rlimits.end(), plan.rlimits.begin());
  plan.rlimits_used = spec.rlimits.size();
  std::copy(spec.groups.begin(), spec.groups.end(), plan.groups.begin());
  plan.processes_max = spec.processes_max;
  plan.has_network = spec.has_network;
}

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

#if defined(__SANITIZE_THREAD__)
#define SKEP_THREADS_ARE_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SKEP_THREADS_ARE_WATCHED 1
#endif
#endif

pid_t fork_supervisor() {
#ifdef SKEP_THREADS_ARE_WATCHED
  // ThreadSanitizer has locks of its own, which another thread may hold now. It knows of fork() alone, and
  // looks at nothing in the child of a process with threads.
  return fork();
#else
  // Not fork(): the handlers of the library's locks are not needed, as the supervisor takes none.
  return _Fork();
#endif
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildSpec& spec) {
  SKEP_CHECK(!spec.argv.empty(), "a program has a path");
  SKEP_TRY(auto input, make_input(spec.input));
  SKEP_TRY(auto output, make_pipe());
  SKEP_TRY(auto errors, make_pipe());
  SKEP_TRY(auto control, make_pipe());
  SKEP_TRY(auto report, make_pipe());
  const auto argv = pointers(spec.argv);
  const auto environment = pointers(spec.environment);
  const auto stack = std::make_unique<char[]>(kStackBytes);
  SupervisorPlan plan;
  plan.argv = argv.data();
  plan.environment = environment.data();
  plan.directory = spec.directory.c_str();
  plan.input = input.number();
  plan.output = output.write.number();
  plan.errors = errors.write.number();
  plan.control = control.read.number();
  plan.report = report.write.number();
  plan.user = geteuid();
  plan.group = getegid();
  plan.parent = getpid();
  plan.stack_end = stack.get() + kStackBytes / 16 * 16;
  limit(spec, plan);
  ChildProcess child;
  child.control_ = std::move(control.write);
  child.report_ = std::move(report.read);
  child.output_ = std::move(output.read);
  child.errors_ = std::move(errors.read);
  child.pid_ = fork_supervisor();
  if (child.pid_ == 0) supervise(plan);
  if (child.pid_ < 0) {
    child.is_finished_ = true;
    return system_error("cannot start a process", errno);
  }
  report.write.close();
  SupervisorReport begun;
  if (!read_report(child.report_, begun)) begun.problem = ECHILD;
  if (begun.problem != 0) return system_error("cannot run " + spec.argv[0], begun.problem);
  set_nonblocking(child.output_);
  set_nonblocking(child.errors_);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(other.pid_),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      control_(std::move(other.control_)),
      report_(std::move(other.report_)),
      is_finished_(std::exchange(other.is_finished_, true)),
      end_(other.end_) {}

ChildProcess::~ChildProcess() {
  if (!is_finished_) finish();
}

void ChildProcess::ask_to_end() {
  (void)!write(control_.number(), &kAskToEnd, 1);
}

int ChildProcess::finish() {
  if (is_finished_) return end_.status;
  is_finished_ = true;
  control_.close();
  // Without a report nobody can tell how it ended: that must not pass for a success.
  if (!read_report(report_, end_)) end_.status = SIGKILL;
  pid_t reaped = -1;
  do {
    reaped = waitpid(pid_, nullptr, 0);
  } while (reaped < 0 && errno == EINTR);
  return end_.status;
}

}  // namespace skep::worker
