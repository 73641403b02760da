// SPDX-License-Identifier: Apache-2.0
#include "provision/process.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/signals.h"
#include "provision/spawn.h"

namespace skep::provision {
namespace {

using scaler::Instance;
using scaler::InstanceState;
using scaler::LaunchReply;
using Work = UniqueFunction<void()>;

constexpr Duration kGoneListed = minutes(5);
constexpr std::size_t kGoneMax = 256;
constexpr std::size_t kLaunchesRemembered = 256;  // so that a launch that is repeated starts nothing twice

struct Child {
  Instance instance;
  Spawned process;
  Instant kill_at = kNever;  // SIGTERM was sent: SIGKILL is due then
};

struct Gone {
  Instance instance;
  Instant at{};
};

// Who has it opens it anew by its path in /proc, and so reads it from its beginning, as often as wanted.
int file_in_memory(const std::string& text) {
  const int descriptor = memfd_create("skep-secret", MFD_CLOEXEC);
  SKEP_CHECK(descriptor > STDERR_FILENO, "no file in memory for the secret of workers");
  const ssize_t written = write(descriptor, text.data(), text.size());
  SKEP_CHECK(written == static_cast<ssize_t>(text.size()), "no memory for the secret of workers");
  return descriptor;
}

}  // namespace

// The thread forks all children itself: what tells them of their parent's death is the death of the thread
// that forked them.
struct ProcessProvisioner::Impl {
  Impl(Executor& e, ProcessOptions o, Logger l);
  ~Impl();

  void on_own_thread(Work work);
  void wake();

  // On the own thread.
  void run();
  std::vector<Work> take_commands();
  std::vector<Instance> snapshot();
  LaunchReply launch(std::uint32_t count, const std::string& token, Instant now);
  void terminate(const std::vector<std::string>& ids);
  void ask_to_end(Child& child);
  void kill_overdue();
  void wait();
  void ended(const std::string& id);
  void tell_change();

  Executor& executor;
  const ProcessOptions options;
  const Logger log;
  const SystemClock clock;
  const int wake_descriptor;
  const int secret_descriptor;  // -1: none

  // Of the executor, but for its lifetime.
  std::shared_ptr<Changed> changed = std::make_shared<Changed>();

  Mutex mutex;
  std::vector<Work> commands SKEP_GUARDED_BY(mutex);
  bool must_end SKEP_GUARDED_BY(mutex) = false;

  // Of the own thread.
  bool is_ending = false;
  std::map<std::string, Child> children;
  std::deque<Gone> gone;
  std::deque<std::pair<std::string, LaunchReply>> launches;

  std::thread thread;
};

ProcessProvisioner::Impl::Impl(Executor& e, ProcessOptions o, Logger l)
    : executor(e),
      options(std::move(o)),
      log(std::move(l)),
      wake_descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      secret_descriptor(options.secret.empty() ? -1 : file_in_memory(options.secret)) {
  SKEP_CHECK(wake_descriptor >= 0, "no file descriptors left for the provisioner");
  keep_ended_children();
  thread = std::thread([this]() noexcept { run(); });
}

ProcessProvisioner::Impl::~Impl() {
  {
    const MutexLock lock(mutex);
    must_end = true;
  }
  wake();
  thread.join();
  close(wake_descriptor);
  if (secret_descriptor >= 0) close(secret_descriptor);
}

void ProcessProvisioner::Impl::on_own_thread(Work work) {
  {
    const MutexLock lock(mutex);
    commands.push_back(std::move(work));
  }
  wake();
}

void ProcessProvisioner::Impl::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_descriptor, &one, sizeof one);
}

std::vector<Work> ProcessProvisioner::Impl::take_commands() {
  const MutexLock lock(mutex);
  is_ending = must_end;
  return std::exchange(commands, {});
}

void ProcessProvisioner::Impl::run() {
  pthread_setname_np(pthread_self(), "provisioner");
  // Signals are for the threads that wait for them.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    for (Work& work : take_commands()) work();
    if (is_ending) {
      for (auto& [id, child] : children) ask_to_end(child);
      if (children.empty()) return;
    }
    wait();
    kill_overdue();
  }
}

// Until a command, the end of a child or the next SIGKILL.
void ProcessProvisioner::Impl::wait() {
  std::vector<pollfd> watched = {{wake_descriptor, POLLIN, 0}};
  std::vector<std::string> ids;
  Instant next = kNever;
  for (const auto& [id, child] : children) {
    watched.push_back({child.process.descriptor, POLLIN, 0});
    ids.push_back(id);
    next = std::min(next, child.kill_at);
  }
  int patience = -1;
  if (next != kNever) {
    const auto ms = std::chrono::ceil<milliseconds>(std::max(next - clock.now(), Duration::zero()));
    patience = static_cast<int>(std::min<std::int64_t>(ms.count(), 60'000));
  }
  if (poll(watched.data(), watched.size(), patience) < 0) {
    SKEP_CHECK(errno == EINTR || errno == ENOMEM, "poll on own descriptors failed");
    return;
  }
  std::uint64_t count = 0;
  [[maybe_unused]] const auto drained = read(wake_descriptor, &count, sizeof count);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (watched[i + 1].revents != 0) ended(ids[i]);
  }
}

void ProcessProvisioner::Impl::ended(const std::string& id) {
  const auto found = children.find(id);
  Child child = std::move(found->second);
  children.erase(found);
  const std::string how = reap(child.process);
  log.info("worker process ended", {{"pid", child.process.pid}, {"instance", id}, {"how", how}});
  child.instance.state = InstanceState::kGone;
  child.instance.detail = how;
  gone.push_back({std::move(child.instance), clock.now()});
  if (gone.size() > kGoneMax) gone.pop_front();
  tell_change();
}

void ProcessProvisioner::Impl::tell_change() {
  executor.post([told = std::weak_ptr<Changed>(changed)] {
    const auto callback = told.lock();
    if (callback && *callback) (*callback)();
  });
}

std::vector<Instance> ProcessProvisioner::Impl::snapshot() {
  const Instant now = clock.now();
  while (!gone.empty() && now - gone.front().at > kGoneListed) gone.pop_front();
  std::vector<Instance> listed;
  for (const auto& [id, child] : children) listed.push_back(child.instance);
  for (const Gone& former : gone) listed.push_back(former.instance);
  return listed;
}

LaunchReply ProcessProvisioner::Impl::launch(std::uint32_t count, const std::string& token, Instant now) {
  for (const auto& [earlier, reply] : launches) {
    if (earlier == token) return reply;
  }
  LaunchReply reply;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (is_ending) {
      reply.errors.push_back(
          fail(Code::kUnavailable, "the manager is ending: no worker is started any more"));
      continue;
    }
    const std::string name = token + "-" + std::to_string(i);
    SpawnPlan plan{options.command, options.log_file, secret_descriptor};
    if (secret_descriptor >= 0) {
      plan.command.push_back(options.secret_flag);
      plan.command.push_back("/proc/self/fd/" + std::to_string(secret_descriptor));
    }
    if (options.arguments_for) {
      for (std::string& word : options.arguments_for(name)) plan.command.push_back(std::move(word));
    }
    auto process = spawn(plan);
    if (!process) {
      reply.errors.push_back(std::move(process.error()));
      continue;
    }
    Child child;
    child.process = process.value();
    child.instance = {
        name, name, InstanceState::kRunning, now, "pid " + std::to_string(child.process.pid), "process"};
    log.info("worker process started", {{"pid", child.process.pid}, {"instance", name}});
    reply.started.push_back(child.instance);
    children.emplace(name, std::move(child));
  }
  launches.emplace_back(token, reply);
  if (launches.size() > kLaunchesRemembered) launches.pop_front();
  return reply;
}

void ProcessProvisioner::Impl::terminate(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    const auto found = children.find(id);
    if (found != children.end()) ask_to_end(found->second);
  }
}

void ProcessProvisioner::Impl::ask_to_end(Child& child) {
  if (child.kill_at != kNever || child.instance.state == InstanceState::kStopping) return;
  child.instance.state = InstanceState::kStopping;
  child.kill_at = add_saturated(clock.now(), options.grace);
  kill(child.process.pid, SIGTERM);
}

void ProcessProvisioner::Impl::kill_overdue() {
  const Instant now = clock.now();
  for (auto& [id, child] : children) {
    if (now < child.kill_at) continue;
    log.warn("worker process does not end by itself, so it is killed",
             {{"pid", child.process.pid}, {"instance", id}});
    child.kill_at = kNever;
    kill(child.process.pid, SIGKILL);
    kill(-child.process.pid, SIGKILL);
  }
}

ProcessProvisioner::ProcessProvisioner(Executor& executor, ProcessOptions options, Logger log)
    : impl_(std::make_unique<Impl>(executor, std::move(options), std::move(log))) {}

ProcessProvisioner::~ProcessProvisioner() = default;

void ProcessProvisioner::list(ListDone done) {
  impl_->on_own_thread([impl = impl_.get(), done = std::move(done)]() mutable {
    impl->executor.post(
        [done = std::move(done), listed = impl->snapshot()]() mutable { done(std::move(listed)); });
  });
}

void ProcessProvisioner::launch(std::uint32_t count, std::string token, LaunchDone done) {
  const Instant now = impl_->executor.now();
  impl_->on_own_thread(
      [impl = impl_.get(), count, token = std::move(token), now, done = std::move(done)]() mutable {
        impl->executor.post([done = std::move(done), reply = impl->launch(count, token, now)]() mutable {
          done(std::move(reply));
        });
      });
}

void ProcessProvisioner::terminate(std::vector<std::string> ids, TerminateDone done) {
  impl_->on_own_thread([impl = impl_.get(), ids = std::move(ids), done = std::move(done)]() mutable {
    impl->terminate(ids);
    impl->executor.post([done = std::move(done)]() mutable { done(ok()); });
  });
}

void ProcessProvisioner::on_change(Changed changed) {
  *impl_->changed = std::move(changed);
}

}  // namespace skep::provision
