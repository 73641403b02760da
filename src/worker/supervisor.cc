// SPDX-License-Identifier: Apache-2.0
#include "worker/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/signals.h"

// clone(2) as the C library has it, by its other name. Before `clone` itself ThreadSanitizer stands, which
// takes every child for one with a memory of its own: in this one it would unlock its parent's locks.
extern "C" int __clone(int (*run)(void*), void* stack_end, int flags, void* argument, ...);

namespace skep::worker {
namespace {

constexpr int kPidsMax = 1 << 22;  // as the kernel has it
constexpr int kStopRoundsMax = 20;
constexpr int kEndRoundsMax = 2'000;  // of some milliseconds

// ---- small things without the library's memory ----

// Writes a number; gives its length.
std::size_t print_number(char* out, unsigned number) {
  char digits[12];
  std::size_t size = 0;
  do {
    digits[size++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  for (std::size_t i = 0; i < size; ++i) out[i] = digits[size - 1 - i];
  return size;
}

bool write_file(const char* path, const char* text, std::size_t size) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool is_written = write(file, text, size) == static_cast<ssize_t>(size);
  close(file);
  return is_written;
}

// ---- the program's process ----

// A user namespace has nobody until it is told who is who: this user is himself, and nobody else is there.
bool map_own_user(uid_t user, gid_t group) {
  char line[64];
  const auto map = [&line](const char* path, unsigned id) {
    std::size_t size = print_number(line, id);
    line[size++] = ' ';
    size += print_number(line + size, id);
    line[size++] = ' ';
    line[size++] = '1';
    return write_file(path, line, size);
  };
  return write_file("/proc/self/setgroups", "deny", 4) && map("/proc/self/uid_map", user) &&
         map("/proc/self/gid_map", group);
}

// Without a network; root needs no user namespace for that.
int namespaces(uid_t user) {
  return user == 0 ? CLONE_NEWNET : CLONE_NEWNET | CLONE_NEWUSER;
}

bool enter_groups(const SupervisorPlan& plan) {
  for (const int group : plan.groups) {
    if (group >= 0 && write(group, "0", 1) != 1) return false;
  }
  return true;
}

bool set_rlimits(const SupervisorPlan& plan) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  for (std::size_t i = 0; i < plan.rlimits_used; ++i) {
    const auto& wanted = plan.rlimits[i];
    rlimit now{};
    getrlimit(static_cast<__rlimit_resource>(wanted.resource), &now);
    const rlimit limit{std::min(wanted.limit.rlim_cur, now.rlim_max),
                       std::min(wanted.limit.rlim_max, now.rlim_max)};
    if (setrlimit(static_cast<__rlimit_resource>(wanted.resource), &limit) != 0) return false;
  }
  return true;
}

// It shares the supervisor's memory until it is the program, and the supervisor waits until then.
int become_program(void* argument) {
  auto& plan = *static_cast<SupervisorPlan*>(argument);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  reset_signals_in_child();
  const bool has_own_users = !plan.has_network && plan.user != 0;
  const bool is_ready = (!has_own_users || map_own_user(plan.user, plan.group)) && enter_groups(plan) &&
                        dup2(plan.input, STDIN_FILENO) >= 0 && dup2(plan.output, STDOUT_FILENO) >= 0 &&
                        dup2(plan.errors, STDERR_FILENO) >= 0 && chdir(plan.directory) == 0 &&
                        set_rlimits(plan);
  if (is_ready) execve(plan.argv[0], plan.argv, plan.environment);
  plan.problem = errno != 0 ? errno : EIO;
  _exit(127);
}

// ---- what is left of a program ----

// Who is whose child, of all processes. It lies in pages that nobody has until they are written.
class ProcessTree {
 public:
  ProcessTree() {
    const auto size = sizeof(int) * kPidsMax;
    void* both =
        mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (both == MAP_FAILED) return;
    parents_ = static_cast<int*>(both);
    seen_ = parents_ + kPidsMax;
  }

  bool is_there() const { return parents_ != nullptr; }

  void look() {
    for (int i = 0; i < count_; ++i) parents_[seen_[i]] = 0;
    count_ = 0;
    const int processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    alignas(8) char buffer[8'192];
    long size = 0;
    while (processes >= 0 && (size = syscall(SYS_getdents64, processes, buffer, sizeof buffer)) > 0) {
      for (long at = 0; at < size;) {
        // struct linux_dirent64: inode (8), offset (8), length (2), type (1), name
        const auto length = *reinterpret_cast<const unsigned short*>(buffer + at + 16);
        add(processes, buffer + at + 19);
        at += length;
      }
    }
    if (processes >= 0) close(processes);
  }

  // Sends `signal` to all descendants of `root`; how many had not got it at the last look.
  int send(int root, int signal, bool is_stop) {
    int fresh = 0;
    for (int i = 0; i < count_; ++i) {
      const int pid = seen_[i];
      if (!is_below(pid, root)) continue;
      const bool is_stopped = (parents_[pid] & kStopped) != 0;
      if (is_stop && is_stopped) continue;
      ++fresh;
      kill(pid, signal);
    }
    return fresh;
  }

 private:
  static constexpr int kStopped = 1 << 30;

  // "123 (name) S 1 ...": the name may have anything in it.
  void add(int processes, const char* name) {
    if (*name < '0' || *name > '9' || count_ == kPidsMax) return;
    int pid = 0;
    char path[32];
    std::size_t length = 0;
    for (; *name >= '0' && *name <= '9' && length < 10; ++name) {
      pid = pid * 10 + (*name - '0');
      path[length++] = *name;
    }
    for (const char c : {'/', 's', 't', 'a', 't', '\0'}) path[length++] = c;
    if (pid <= 0 || pid >= kPidsMax) return;
    const int file = openat(processes, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    char text[256];
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    ssize_t at = size;
    while (at > 0 && text[at - 1] != ')') --at;
    if (at <= 0 || at + 3 >= size) return;
    const char state = text[at + 1];
    int parent = 0;
    for (at += 3; at < size && text[at] >= '0' && text[at] <= '9'; ++at)
      parent = parent * 10 + (text[at] - '0');
    if (state == 'Z' || state == 'X' || parent <= 0) return;
    parents_[pid] = parent | (state == 'T' ? kStopped : 0);
    seen_[count_++] = pid;
  }

  bool is_below(int pid, int root) const {
    for (int steps = 0; pid > 1 && pid < kPidsMax && steps < 10'000; ++steps) {
      pid = parents_[pid] & ~kStopped;
      if (pid == root) return true;
    }
    return false;
  }

  int* parents_ = nullptr;  // by pid; 0: no such process
  int* seen_ = nullptr;
  int count_ = 0;
};

// The process that the plan is carried out by.
class Supervisor {
 public:
  explicit Supervisor(SupervisorPlan& plan) : plan_(plan) {}

  [[noreturn]] void run() {
    prepare();
    start();
    report({plan_.problem, 0, 0, 0});
    if (plan_.problem == 0) watch();
    end_all();
    rusage used{};
    getrusage(RUSAGE_CHILDREN, &used);
    const auto span = [](const timeval& time) {
      return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
    };
    report({plan_.problem, status_, span(used.ru_utime) + span(used.ru_stime),
            static_cast<std::uint64_t>(used.ru_maxrss) * 1024});
    _exit(0);
  }

 private:
  void prepare() {
    setpgid(0, 0);  // a Ctrl-C is for the worker alone
    reset_signals_in_child();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    close_others();
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    signals_ = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (getppid() != plan_.parent) _exit(1);
  }

  // Also those of other programs' supervisors, whose workers would not be seen to be dead while this is
  // there.
  void close_others() {
    std::array<int, 6 + SupervisorPlan::kGroupsMax> kept{plan_.input,   plan_.output, plan_.errors,
                                                         plan_.control, plan_.report, plan_.processes_max};
    std::copy(plan_.groups.begin(), plan_.groups.end(), kept.begin() + 6);
    std::sort(kept.begin(), kept.end());
    unsigned from = 0;
    for (const int descriptor : kept) {
      if (descriptor < 0) continue;
      const auto number = static_cast<unsigned>(descriptor);
      if (number > from) close_range(from, number - 1);
      from = number + 1;
    }
    close_range(from, UINT_MAX);
  }

  static void close_range(unsigned first, unsigned last) {
    if (syscall(SYS_close_range, first, last, 0u) == 0) return;
    // An old kernel.
    rlimit open_files{};
    getrlimit(RLIMIT_NOFILE, &open_files);
    const auto end = static_cast<unsigned>(std::min<rlim_t>(open_files.rlim_cur, 65'536));
    for (unsigned i = first; i <= last && i < end; ++i) close(static_cast<int>(i));
  }

  void start() {
    const int extra = plan_.has_network ? 0 : namespaces(plan_.user);
    program_ = __clone(become_program, plan_.stack_end, CLONE_VM | CLONE_VFORK | SIGCHLD | extra, &plan_);
    if (program_ < 0) plan_.problem = errno;
    for (const int descriptor : {plan_.input, plan_.output, plan_.errors}) close(descriptor);
  }

  // Until the program has ended, or shall.
  void watch() {
    while (true) {
      pollfd waits[] = {{signals_, POLLIN, 0}, {plan_.control, POLLIN, 0}};
      if (poll(waits, 2, -1) < 0) continue;
      signalfd_siginfo info{};
      while (read(signals_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM) return;
      }
      reap();
      if (program_ < 0) return;
      if (waits[1].revents == 0) continue;
      char what = 0;
      if (read(plan_.control, &what, 1) != 1) return;
      if (what == kAskToEnd) kill(-program_, SIGTERM);
    }
  }

  // Children that have ended. False: there is none left.
  bool reap() {
    while (true) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0) return errno == EINTR;
      if (pid == 0) return true;
      if (pid != program_) continue;
      status_ = status;
      program_ = -1;
    }
  }

  void end_all() {
    if (program_ > 0) kill(-program_, SIGKILL);  // it is not reaped: the group is still its own
    if (!reap()) return;
    if (plan_.processes_max >= 0) (void)!write(plan_.processes_max, "0", 1);
    ProcessTree tree;
    const int self = getpid();
    for (int round = 0; round < kEndRoundsMax && reap(); ++round) {
      if (!tree.is_there()) {
        if (program_ > 0) kill(program_, SIGKILL);
      } else {
        // Stopped first: who is killed while others of his kind still run is replaced by them.
        tree.look();
        for (int i = 0; i < kStopRoundsMax && tree.send(self, SIGSTOP, true) > 0; ++i) tree.look();
        tree.send(self, SIGKILL, false);
      }
      pollfd wait{signals_, POLLIN, 0};
      poll(&wait, 1, 5);
      signalfd_siginfo info{};
      while (read(signals_, &info, sizeof info) == sizeof info) continue;
    }
  }

  void report(const SupervisorReport& what) { (void)!write(plan_.report, &what, sizeof what); }

  SupervisorPlan& plan_;
  pid_t program_ = -1;
  int status_ = SIGKILL;
  int signals_ = -1;
};

struct Probe {
  uid_t user = geteuid();
  gid_t group = getegid();
  volatile int problem = 0;
};

int become_nobody_else(void* argument) {
  auto& probe = *static_cast<Probe*>(argument);
  if (probe.user != 0 && !map_own_user(probe.user, probe.group)) probe.problem = errno;
  return 0;
}

}  // namespace

void supervise(SupervisorPlan& plan) {
  Supervisor(plan).run();
}

int probe_no_network() {
  constexpr std::size_t kStack = 64 * 1024;
  void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return errno;
  Probe probe;
  const pid_t child = __clone(become_nobody_else, static_cast<char*>(stack) + kStack,
                              CLONE_VM | CLONE_VFORK | SIGCHLD | namespaces(probe.user), &probe);
  const int problem = child < 0 ? errno : 0;
  while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  munmap(stack, kStack);
  return problem != 0 ? problem : probe.problem;
}

}  // namespace skep::worker
