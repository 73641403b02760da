// SPDX-License-Identifier: Apache-2.0
#include "worker/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/check.h"
#include "base/signals.h"

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

// Everything that the child needs between fork and exec, made before: nothing may be allocated there.
struct Plan {
  std::vector<char*> argv;
  std::vector<char*> environment;
  const char* directory = nullptr;
  int input = -1;
  int output = -1;
  int errors = -1;
  int failure = -1;  // takes errno if the program can not be run
  pid_t parent = -1;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  // execve(2) takes pointers to char that it does not write through.
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// In the child. Only async-signal-safe calls: other threads may have held any lock when this one forked.
[[noreturn]] void become(const Plan& plan) {
  const rlimit no_core{0, 0};
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  reset_signals_in_child();
  setrlimit(RLIMIT_CORE, &no_core);
  const bool is_ready = getppid() == plan.parent && dup2(plan.input, STDIN_FILENO) >= 0 &&
                        dup2(plan.output, STDOUT_FILENO) >= 0 && dup2(plan.errors, STDERR_FILENO) >= 0 &&
                        chdir(plan.directory) == 0;
  // Descriptors that a library opened without O_CLOEXEC; where the kernel is too old for the call they stay
  // open.
  syscall(SYS_close_range, 3u, UINT_MAX, 4u /* CLOSE_RANGE_CLOEXEC */);
  if (is_ready) execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  const int reason = errno;
  [[maybe_unused]] const auto written = write(plan.failure, &reason, sizeof reason);
  _exit(127);
}

void set_nonblocking(const Descriptor& descriptor) {
  fcntl(descriptor.number(), F_SETFL, fcntl(descriptor.number(), F_GETFL) | O_NONBLOCK);
}

// What the child wrote before it could run the program; 0 if it runs.
int read_failure(const Descriptor& failure) {
  int reason = 0;
  ssize_t size = 0;
  do {
    size = read(failure.number(), &reason, sizeof reason);
  } while (size < 0 && errno == EINTR);
  return size == sizeof reason ? reason : 0;
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildSpec& spec) {
  SKEP_CHECK(!spec.argv.empty(), "a program has a path");
  SKEP_TRY(auto input, make_input(spec.input));
  SKEP_TRY(auto output, make_pipe());
  SKEP_TRY(auto errors, make_pipe());
  SKEP_TRY(auto failure, make_pipe());
  Plan plan{pointers(spec.argv),   pointers(spec.environment), spec.directory.c_str(), input.number(),
            output.write.number(), errors.write.number(),      failure.write.number(), getpid()};
  ChildProcess child;
  child.pid_ = fork();
  if (child.pid_ == 0) become(plan);
  if (child.pid_ < 0) {
    child.is_finished_ = true;
    return system_error("cannot start a process", errno);
  }
  failure.write.close();
  const int reason = read_failure(failure.read);
  if (reason != 0) return system_error("cannot run " + spec.argv[0], reason);
  child.exit_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, child.pid_, 0)));
  if (!child.exit_.is_open()) return system_error("cannot wait for a process", errno);
  child.output_ = std::move(output.read);
  child.errors_ = std::move(errors.read);
  set_nonblocking(child.output_);
  set_nonblocking(child.errors_);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(other.pid_),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      exit_(std::move(other.exit_)),
      is_finished_(std::exchange(other.is_finished_, true)),
      status_(other.status_) {}

ChildProcess::~ChildProcess() {
  if (!is_finished_) finish();
}

int ChildProcess::finish() {
  if (is_finished_) return status_;
  is_finished_ = true;
  // Before the child is reaped: until then nobody else can have the group's number.
  kill(-pid_, SIGKILL);
  // The child itself may have gone over to another group.
  kill(pid_, SIGKILL);
  pid_t reaped = -1;
  do {
    reaped = waitpid(pid_, &status_, 0);
  } while (reaped < 0 && errno == EINTR);
  // Somebody else has reaped it, so nobody can tell how it ended: that must not pass for a success.
  if (reaped < 0) status_ = SIGKILL;
  return status_;
}

}  // namespace skep::worker
