// SPDX-License-Identifier: Apache-2.0
#include "provision/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/signals.h"

namespace skep::provision {
namespace {

constexpr int kFirstOther = 3;               // the first descriptor behind the standard ones
constexpr int kNoExec = 127;                 // exit code of a child that did not get as far as its program
constexpr rlim_t kDescriptorsMax = 1 << 16;  // looked at where close_range does not exist

std::string text_of(int error) {
  return std::generic_category().message(error);
}

// A descriptor that is closed at its end. Never one of the standard three: those are replaced in the child.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd < 0 || fd >= kFirstOther) return;
    fd_ = fcntl(fd, F_DUPFD_CLOEXEC, kFirstOther);
    close(fd);
  }
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// All that the child needs, made before the fork: between fork and exec nothing may allocate or lock.
struct ChildPlan {
  std::vector<char*> arguments;
  pid_t parent = -1;
  int inherited = -1;
  Descriptor null;
  Descriptor log;
  Descriptor report_read;
  Descriptor report_write;
};

void close_on_exec_from(int first) {
  if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const int end = static_cast<int>(std::min(limit.rlim_cur, kDescriptorsMax));
  for (int fd = first; fd < end; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
}

// In the child. Only async-signal-safe calls: other threads may have held any lock at the fork.
[[noreturn]] void become(const ChildPlan& plan) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // A parent that died before the line above sends nothing any more.
  if (getppid() != plan.parent) _exit(kNoExec);
  reset_signals_in_child();
  dup2(plan.null.get(), STDIN_FILENO);
  if (plan.log.get() >= 0) {
    dup2(plan.log.get(), STDOUT_FILENO);
    dup2(plan.log.get(), STDERR_FILENO);
  }
  close_on_exec_from(kFirstOther);
  if (plan.inherited >= 0) fcntl(plan.inherited, F_SETFD, 0);
  execv(plan.arguments.front(), plan.arguments.data());
  const int error = errno;
  [[maybe_unused]] const auto written = write(plan.report_write.get(), &error, sizeof error);
  _exit(kNoExec);
}

Result<void> open_descriptors(const std::string& log_file, ChildPlan& plan) {
  int report[2] = {-1, -1};
  if (pipe2(report, O_CLOEXEC) != 0)
    return fail(Code::kUnavailable, "no pipe for a worker process: " + text_of(errno));
  plan.report_read = Descriptor(report[0]);
  plan.report_write = Descriptor(report[1]);
  plan.null = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (plan.null.get() < 0) return fail(Code::kUnavailable, "/dev/null cannot be opened: " + text_of(errno));
  if (log_file.empty()) return ok();
  plan.log = Descriptor(open(log_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (plan.log.get() < 0)
    return fail(Code::kUnavailable, "the log file '" + log_file + "' cannot be opened: " + text_of(errno));
  return ok();
}

// Blocks until the pipe is closed, by the exec or by the end of the child. 0: the program runs.
int exec_error(int descriptor) {
  int error = 0;
  while (true) {
    const ssize_t count = read(descriptor, &error, sizeof error);
    if (count == sizeof error) return error;
    if (count >= 0 || errno != EINTR) return 0;
  }
}

void kill_and_wait(pid_t pid) {
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Spawned> spawn(const SpawnPlan& plan) {
  if (plan.command.empty()) return fail(Code::kInvalid, "there is no program to start as a worker");
  std::vector<std::string> words = plan.command;
  ChildPlan child;
  for (std::string& word : words) child.arguments.push_back(word.data());
  child.arguments.push_back(nullptr);
  child.parent = getpid();
  child.inherited = plan.inherited;
  SKEP_TRY(open_descriptors(plan.log_file, child));

  const pid_t pid = fork();
  if (pid < 0) return fail(Code::kUnavailable, "no worker process can be started: " + text_of(errno));
  if (pid == 0) become(child);

  child.report_write.reset();
  if (const int error = exec_error(child.report_read.get()); error != 0) {
    kill_and_wait(pid);
    return fail(Code::kInvalid, "the program '" + words.front() + "' cannot be started: " + text_of(error));
  }
  Spawned spawned;
  spawned.pid = pid;
  spawned.descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (spawned.descriptor < 0) {
    const int error = errno;
    kill_and_wait(pid);
    return fail(Code::kUnavailable, "a worker process cannot be watched: " + text_of(error));
  }
  return spawned;
}

std::string reap(const Spawned& child) {
  siginfo_t info{};
  // Its number stands for its group as long as it is not waited for, so the group is ended first.
  while (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  kill(-child.pid, SIGKILL);
  while (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED) != 0 && errno == EINTR) {
  }
  close(child.descriptor);
  if (info.si_code == CLD_EXITED) return "exit code " + std::to_string(info.si_status);
  return "killed by signal " + std::to_string(info.si_status);
}

}  // namespace skep::provision
