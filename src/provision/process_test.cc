// SPDX-License-Identifier: Apache-2.0
// Real child processes (/bin/sh): how they start, end and are ended. Waiting is polling with a deadline.
#include "provision/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "base/clock.h"
#include "base/runner.h"

namespace skep::provision {
namespace {

using scaler::Instance;
using scaler::InstanceState;
using scaler::LaunchReply;

constexpr Duration kPatience = seconds(20);

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

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// As in proc(5): 'S' sleeps, 'T' is stopped, 'Z' is a zombie. 'X': there is none.
char state_of(pid_t pid) {
  const std::string stat = contents("/proc/" + std::to_string(pid) + "/stat");
  const auto end_of_name = stat.rfind(") ");
  return end_of_name == std::string::npos ? 'X' : stat[end_of_name + 2];
}

bool is_dead(pid_t pid) {
  return state_of(pid) == 'Z' || state_of(pid) == 'X';
}

pid_t pid_of(const Instance& instance) {
  return static_cast<pid_t>(std::atol(instance.detail.substr(4).c_str()));
}

class Process : public testing::Test {
 protected:
  Process() {
    std::string pattern = testing::TempDir() + "skep_process_XXXXXX";
    directory = mkdtemp(pattern.data());
    options.grace = seconds(10);
  }
  ~Process() override {
    provisioner.reset();
    std::filesystem::remove_all(directory);
  }

  std::string path(const std::string& name) const { return directory + "/" + name; }

  void start_with(const std::string& script) {
    options.command = {"/bin/sh", "-c", script, "sh"};
    options.log_file = path("log");
    options.arguments_for = [](const std::string& token) {
      return std::vector<std::string>{"--instance", token};
    };
    make();
  }
  void make() {
    provisioner = std::make_unique<ProcessProvisioner>(runner, options, Logger());
    run([&] { provisioner->on_change([this] { ++changes; }); });
  }

  template <class F>
  void run(F work) {
    std::promise<void> done;
    runner.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  LaunchReply launch(std::uint32_t count, const std::string& token) {
    std::promise<LaunchReply> reply;
    runner.post([&] {
      provisioner->launch(count, token, [&](LaunchReply answer) { reply.set_value(std::move(answer)); });
    });
    return reply.get_future().get();
  }
  Instance launch_one(const std::string& token = "t") {
    const LaunchReply reply = launch(1, token);
    EXPECT_EQ(reply.started.size(), 1u);
    return reply.started.empty() ? Instance() : reply.started.front();
  }
  std::vector<Instance> list() {
    std::promise<std::vector<Instance>> reply;
    runner.post([&] {
      provisioner->list(
          [&](Result<std::vector<Instance>> answer) { reply.set_value(std::move(answer.value())); });
    });
    return reply.get_future().get();
  }
  void terminate(const std::string& id) {
    std::promise<bool> reply;
    runner.post([&] {
      provisioner->terminate({id}, [&](const Result<void>& answer) { reply.set_value(answer.has_value()); });
    });
    EXPECT_TRUE(reply.get_future().get());
  }
  Instance find(const std::string& id) {
    for (const Instance& instance : list()) {
      if (instance.id == id) return instance;
    }
    return {};
  }
  // How the instance ended; waits for it.
  std::string end_of(const std::string& id) {
    EXPECT_TRUE(eventually([&] { return find(id).state == InstanceState::kGone; }));
    return find(id).detail;
  }
  bool has_logged(const std::string& text) {
    return eventually([&] { return contents(path("log")).find(text) != std::string::npos; });
  }

  std::string directory;
  SystemClock clock;
  Runner runner{clock, "test"};
  ProcessOptions options;
  std::atomic<int> changes = 0;
  std::unique_ptr<ProcessProvisioner> provisioner;
};

// ---- starting ----

TEST_F(Process, StartsWorkersThatKnowTheirTokenAndListsThem) {
  start_with("echo \"$1 $2\"; exec sleep 1000");
  const LaunchReply reply = launch(2, "m-1");
  ASSERT_EQ(reply.started.size(), 2u);
  EXPECT_TRUE(reply.errors.empty());
  EXPECT_EQ(reply.started[0].token, "m-1-0");
  EXPECT_EQ(reply.started[1].token, "m-1-1");
  EXPECT_TRUE(has_logged("--instance m-1-0\n"));
  EXPECT_TRUE(has_logged("--instance m-1-1\n"));
  const auto listed = list();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].state, InstanceState::kRunning);
  EXPECT_EQ(listed[0].detail, "pid " + std::to_string(pid_of(listed[0])));
  EXPECT_FALSE(is_dead(pid_of(listed[0])));
}

TEST_F(Process, ALaunchThatIsRepeatedStartsNothingTwice) {
  start_with("exec sleep 1000");
  const Instance first = launch_one("m-1");
  const Instance again = launch_one("m-1");
  EXPECT_EQ(first.detail, again.detail);
  EXPECT_EQ(list().size(), 1u);
}

TEST_F(Process, AMissingProgramIsOneClearSentenceForEachWorker) {
  options.command = {"/nowhere/skep", "worker"};
  make();
  const LaunchReply reply = launch(2, "t");
  EXPECT_TRUE(reply.started.empty());
  ASSERT_EQ(reply.errors.size(), 2u);
  EXPECT_EQ(reply.errors[0].code, Code::kInvalid);
  EXPECT_EQ(reply.errors[0].message,
            "the program '/nowhere/skep' cannot be started: No such file or directory");
  EXPECT_TRUE(list().empty());
}

TEST_F(Process, NoProgramAtAllIsRefused) {
  make();
  EXPECT_EQ(launch(1, "t").errors.at(0).code, Code::kInvalid);
}

TEST_F(Process, ALogFileThatCannotBeWrittenIsTold) {
  options.command = {"/bin/true"};
  options.log_file = path("missing/log");
  make();
  const LaunchReply reply = launch(1, "t");
  ASSERT_EQ(reply.errors.size(), 1u);
  EXPECT_EQ(reply.errors[0].code, Code::kUnavailable);
  EXPECT_NE(reply.errors[0].message.find("missing/log' cannot be opened"), std::string::npos);
}

TEST_F(Process, AChildInheritsNoDescriptorsButItsOutput) {
  const int leaky = fcntl(STDIN_FILENO, F_DUPFD, 77);  // as a library would, without FD_CLOEXEC
  ASSERT_GE(leaky, 77);
  // The shell expands the pattern itself: what is listed is its own, and the directory that it reads.
  start_with("for f in /proc/$$/fd/*; do echo \"fd ${f##*/}\"; done; echo end; exec sleep 1000");
  launch_one();
  ASSERT_TRUE(has_logged("end"));
  close(leaky);
  EXPECT_EQ(contents(path("log")), "fd 0\nfd 1\nfd 2\nfd 3\nend\n");
}

TEST_F(Process, AChildReadsNothingAndLeadsItsOwnGroup) {
  start_with(
      "read line || echo \"no input\"; echo \"group $(cut -d' ' -f5 /proc/$$/stat) of $$\"; exec sleep 1000");
  const std::string pid = std::to_string(pid_of(launch_one()));
  EXPECT_TRUE(has_logged("no input"));
  EXPECT_TRUE(has_logged("group " + pid + " of " + pid));
}

// ---- ending ----

TEST_F(Process, AnExitIsSeenAtOnceWithItsCode) {
  start_with("exit 3");
  const Instance instance = launch_one();
  EXPECT_EQ(end_of(instance.id), "exit code 3");
  EXPECT_TRUE(eventually([&] { return changes == 1; }));
}

TEST_F(Process, AKilledWorkerIsSeenAtOnce) {
  start_with("exec sleep 1000");
  const Instance instance = launch_one();
  const Instant killed_at = clock.now();
  kill(pid_of(instance), SIGKILL);
  EXPECT_TRUE(eventually([&] { return changes == 1; }));
  EXPECT_LT(clock.now() - killed_at, seconds(2));  // far more than it takes, for a machine that is busy
  EXPECT_EQ(end_of(instance.id), "killed by signal 9");
}

TEST_F(Process, TerminateEndsOneAndLeavesTheOthers) {
  start_with("exec sleep 1000");
  const LaunchReply reply = launch(2, "t");
  terminate(reply.started[0].id);
  EXPECT_EQ(end_of(reply.started[0].id), "killed by signal 15");
  EXPECT_EQ(find(reply.started[1].id).state, InstanceState::kRunning);
  terminate(reply.started[0].id);
  terminate("unknown");
}

TEST_F(Process, AWorkerThatIgnoresTheRequestIsKilledAfterTheGrace) {
  options.grace = milliseconds(50);
  start_with("trap '' TERM; sleep 1000 & echo \"child $!.\"; wait; wait; sleep 1000");
  const Instance instance = launch_one();
  ASSERT_TRUE(has_logged("."));
  terminate(instance.id);
  EXPECT_EQ(end_of(instance.id), "killed by signal 9");
  // And what it had started itself goes with it.
  const std::string text = contents(path("log"));
  const auto grandchild = static_cast<pid_t>(std::atol(text.substr(text.find("child ") + 6).c_str()));
  ASSERT_GT(grandchild, 1);
  EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

TEST_F(Process, AStoppedWorkerIsKilledAfterTheGrace) {
  options.grace = milliseconds(50);
  start_with("exec sleep 1000");
  const Instance instance = launch_one();
  kill(pid_of(instance), SIGSTOP);
  ASSERT_TRUE(eventually([&] { return state_of(pid_of(instance)) == 'T'; }));
  terminate(instance.id);
  EXPECT_EQ(end_of(instance.id), "killed by signal 9");
}

TEST_F(Process, TerminatingOneIsListedAsStopping) {
  start_with("trap '' TERM; echo ready; while true; do sleep 0.05; done");
  const Instance instance = launch_one();
  ASSERT_TRUE(has_logged("ready"));
  terminate(instance.id);
  EXPECT_EQ(find(instance.id).state, InstanceState::kStopping);
  kill(pid_of(instance), SIGKILL);
}

TEST_F(Process, WhatAWorkerLeavesInItsGroupIsEndedWithIt) {
  start_with("sleep 1000 & echo \"left $!.\"; exit 0");
  const Instance instance = launch_one();
  EXPECT_EQ(end_of(instance.id), "exit code 0");
  const std::string text = contents(path("log"));
  const auto left = static_cast<pid_t>(std::atol(text.substr(text.find("left ") + 5).c_str()));
  ASSERT_GT(left, 1);
  EXPECT_TRUE(eventually([&] { return is_dead(left); }));
}

TEST_F(Process, TheEndOfTheProvisionerEndsAllItsWorkers) {
  options.grace = milliseconds(50);
  start_with("if [ \"$2\" = t-0 ]; then trap '' TERM; fi; echo \"$2 up\"; while true; do sleep 0.05; done");
  const LaunchReply reply = launch(3, "t");
  ASSERT_EQ(reply.started.size(), 3u);
  for (const Instance& instance : reply.started) ASSERT_TRUE(has_logged(instance.token + " up"));
  provisioner.reset();
  for (const Instance& instance : reply.started) {
    EXPECT_EQ(kill(pid_of(instance), 0), -1) << "not waited for";
    EXPECT_EQ(errno, ESRCH);
  }
}

// ---- the death of the parent ----

// Not a test: the program that ParentDeathEndsTheWorkers starts and kills.
TEST_F(Process, DISABLED_Parent) {
  const char* report = std::getenv("SKEP_TEST_REPORT");
  if (report == nullptr) GTEST_SKIP() << "only for ParentDeathEndsTheWorkers";
  start_with("exec sleep 1000");
  const Instance instance = launch_one();
  std::ofstream(report) << pid_of(instance) << "." << std::flush;
  pause();
}

TEST_F(Process, ParentDeathEndsTheWorkers) {
  const std::string report = path("report");
  setenv("SKEP_TEST_REPORT", report.c_str(), 1);
  const ProcessOptions helper{{"/proc/" + std::to_string(getpid()) + "/exe",
                               "--gtest_filter=Process.DISABLED_Parent", "--gtest_also_run_disabled_tests"},
                              {},
                              path("helper_log"),
                              seconds(1)};
  ProcessProvisioner parents(runner, helper, Logger());
  std::promise<LaunchReply> started;
  runner.post(
      [&] { parents.launch(1, "parent", [&](LaunchReply reply) { started.set_value(std::move(reply)); }); });
  const LaunchReply reply = started.get_future().get();
  unsetenv("SKEP_TEST_REPORT");
  ASSERT_EQ(reply.started.size(), 1u);
  ASSERT_TRUE(eventually([&] { return contents(report).ends_with("."); })) << contents(path("helper_log"));
  const auto worker = static_cast<pid_t>(std::atol(contents(report).c_str()));
  ASSERT_FALSE(is_dead(worker));
  kill(pid_of(reply.started[0]), SIGKILL);
  EXPECT_TRUE(eventually([&] { return is_dead(worker); }));
}

TEST_F(Process, FindsItsSecretInAFileInMemoryAndNowhereElse) {
  options.secret = "the secret";
  options.secret_flag = "--secret-file";
  // The flag and the path stand before what tells the worker its token.
  start_with("cat \"$2\" \"$2\" >" + path("seen.new") + "; echo \"$1\" >>" + path("seen.new") + "; env >" +
             path("environment") + "; tr '\\0' ' ' </proc/$$/cmdline >" + path("title") + "; mv " +
             path("seen.new") + " " + path("seen"));
  launch_one();
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(path("seen")); }));
  EXPECT_EQ(contents(path("seen")), "the secretthe secret--secret-file\n");
  for (const char* place : {"environment", "title", "log"}) {
    EXPECT_EQ(contents(path(place)).find("the secret"), std::string::npos) << place;
  }
}

}  // namespace
}  // namespace skep::provision
