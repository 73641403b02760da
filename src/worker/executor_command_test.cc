// SPDX-License-Identifier: Apache-2.0
// A command's whole contract with its program, and what is left of a run. Method: real programs, mostly sh;
// the other thread of the stop tests waits for what the program shows, never for time.
#include "worker/executor_command.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "api/json.h"
#include "base/clock.h"
#include "task/id.h"
#include "task/limits.h"
#include "worker/testing/processes.h"

namespace skep::worker {
namespace {

using api::v1::Outcome;
using testing::eventually;
using testing::has_no_child;
using testing::is_dead;

pid_t pid_in(const std::string& text) {
  return static_cast<pid_t>(std::atol(text.c_str()));
}

class RunCommand : public ::testing::Test {
 protected:
  RunCommand() {
    const TaskId task{0, 1, 7};
    lease.set_lease(LeaseToken{task, 1, 3}.to_string());
    lease.set_task(task.to_string());
    lease.set_kind("command");
    lease.set_program("p");
  }
  // Whatever a run did: no child, no file.
  ~RunCommand() override {
    EXPECT_TRUE(has_no_child());
    EXPECT_TRUE(work.is_empty());
  }

  std::optional<Outcome> run_or_stop(std::vector<std::string> argv) {
    return run_command(lease, {{"p", Program(std::move(argv))}}, work.path(), clock, stop);
  }
  Outcome run(std::vector<std::string> argv) {
    auto outcome = run_or_stop(std::move(argv));
    EXPECT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome.value_or(Outcome()).lease(), lease.lease());
    return outcome.value_or(Outcome());
  }
  Outcome shell(const std::string& script) { return run({"/bin/sh", "-c", script}); }
  std::string seen(const std::string& name) const { return tests / name; }

  SystemClock clock;
  StopSignal stop;
  api::v1::Lease lease;
  testing::TemporaryDirectory work;
  testing::TemporaryDirectory tests;  // where programs leave what a test looks at
};

TEST_F(RunCommand, BodyIsTheInputAndTheOutputIsTheResult) {
  std::string body;
  for (std::size_t i = 0; i < limits::kBodyBytesMax; ++i) body += static_cast<char>(i * 31 + i / 256);
  lease.set_body(body);
  const Outcome outcome = run({"/bin/cat"});
  EXPECT_FALSE(outcome.failed()) << outcome.error();
  EXPECT_TRUE(outcome.result() == body);
  EXPECT_GT(outcome.run_us(), 0u);
}

TEST_F(RunCommand, ProgramNeedNotReadItsInput) {
  lease.set_body(std::string(limits::kBodyBytesMax, 'x'));
  EXPECT_EQ(shell("echo unread").result(), "unread\n");
  EXPECT_EQ(shell("exec <&-; echo closed").result(), "closed\n");
}

TEST_F(RunCommand, OutputOfTheLargestSizeIsTakenAndOneByteMoreIsAFailureForGood) {
  const std::string most = std::to_string(limits::kResultBytesMax);
  const std::string more = std::to_string(limits::kResultBytesMax + 1);
  EXPECT_EQ(run({"/usr/bin/head", "-c", most, "/dev/zero"}).result().size(), limits::kResultBytesMax);
  const Outcome outcome = run({"/usr/bin/head", "-c", more, "/dev/zero"});
  EXPECT_TRUE(outcome.failed());
  EXPECT_TRUE(outcome.permanent());
  EXPECT_EQ(outcome.error(), "its output is larger than 1.0 MiB");
  EXPECT_EQ(outcome.result(), "");
}

TEST_F(RunCommand, ProgramThatWritesWithoutEndIsEnded) {
  EXPECT_EQ(run({"/usr/bin/yes"}).error(), "its output is larger than 1.0 MiB");
  // Errors are no result: only their end is kept.
  const Outcome outcome = shell("head -c 3000000 /dev/zero | tr '\\0' e >&2; echo the end >&2; exit 1");
  EXPECT_TRUE(outcome.error().ends_with("eeethe end")) << outcome.error().size();
  EXPECT_LE(outcome.error().size(), limits::kErrorBytesMax);
}

TEST_F(RunCommand, ExitCodeIsAFailureWithTheEndOfWhatItSaid) {
  const Outcome outcome = shell("echo partial; echo what went wrong >&2; exit 3");
  EXPECT_TRUE(outcome.failed());
  EXPECT_FALSE(outcome.permanent());
  EXPECT_FALSE(outcome.timed_out());
  EXPECT_EQ(outcome.error(), "exit code 3: what went wrong");
  EXPECT_EQ(outcome.result(), "");
  const Outcome hopeless = shell("exit 65");
  EXPECT_TRUE(hopeless.permanent());
  EXPECT_EQ(hopeless.error(), "exit code 65");
}

TEST_F(RunCommand, SentenceFitsItsLimitWhateverTheProgramSays) {
  const Outcome outcome = shell(
      "i=0; while [ $i -lt 500 ]; do printf '\\377\\376\\375\\374\\373\\372' >&2; i=$((i+1)); done; exit 1");
  EXPECT_TRUE(outcome.error().starts_with("exit code 1: "));
  EXPECT_GT(outcome.error().size(), kStderrTailBytes);
  EXPECT_LE(outcome.error().size(), limits::kErrorBytesMax);
  EXPECT_EQ(api::to_valid_utf8(outcome.error()), outcome.error());
}

TEST_F(RunCommand, SignalIsAFailureThatNamesIt) {
  const Outcome outcome = shell("echo before >&2; kill -KILL $$");
  EXPECT_TRUE(outcome.failed());
  EXPECT_FALSE(outcome.permanent());
  EXPECT_EQ(outcome.error(), "killed by signal 9 (Killed): before");
}

TEST_F(RunCommand, RunBeyondItsTimeoutIsEnded) {
  lease.set_timeout_ms(50);
  const Outcome outcome = shell("sleep 1000 & echo $! >" + seen("pid") + "; echo waits >&2; wait");
  EXPECT_TRUE(outcome.failed());
  EXPECT_TRUE(outcome.timed_out());
  EXPECT_FALSE(outcome.permanent());
  EXPECT_TRUE(outcome.error().starts_with("ran longer than 50ms")) << outcome.error();
  EXPECT_GE(outcome.run_us(), 50'000u);
  const pid_t grandchild = pid_in(testing::contents(seen("pid")));
  // It may not have come as far as that.
  EXPECT_TRUE(grandchild == 0 || eventually([&] { return is_dead(grandchild); }));
}

TEST_F(RunCommand, WhatItLeavesRunningIsEndedWithIt) {
  const Outcome outcome = shell("sleep 1000 & echo $!");
  EXPECT_FALSE(outcome.failed()) << outcome.error();
  const pid_t grandchild = pid_in(outcome.result());
  ASSERT_GT(grandchild, 0);
  EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

TEST_F(RunCommand, UnknownProgramIsAFailureForGoodAndAMissingOneIsNot) {
  lease.set_program("other");
  const Outcome unknown = run({"/bin/true"});
  EXPECT_TRUE(unknown.permanent());
  EXPECT_EQ(unknown.error(), "this worker lists no program \"other\"");
  lease.set_program("p");
  const Outcome missing = run({"/nowhere/program"});
  EXPECT_TRUE(missing.failed());
  EXPECT_FALSE(missing.permanent());
  EXPECT_EQ(missing.error(), "cannot run /nowhere/program: No such file or directory");
}

TEST_F(RunCommand, WorkingDirectoryIsEmptyItsOwnAndGoneAfterwards) {
  const std::string script = "pwd -P; ls -A; mkdir -p deep/er; echo x > deep/er/file; ln -s / out";
  const std::string first = shell(script).result();
  const std::string second = shell(script).result();
  const std::string parent = std::filesystem::canonical(work.path()).string();
  EXPECT_TRUE(first.starts_with(parent + "/skep-task-")) << first;
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 1) << first;
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::filesystem::exists(first.substr(0, first.size() - 1)));
}

// As a user who is not root, whom the rights of files do not bind: in a process of its own.
TEST_F(RunCommand, WhatItProtectedFromDeletionIsGoneAfterwardsToo) {
  ASSERT_EQ(chmod(work.path().c_str(), 0777), 0);
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65'534;
    if (geteuid() == 0 && setuid(kNobody) != 0) _exit(2);
    const auto outcome = run_or_stop(
        {"/bin/sh", "-c",
         "mkdir -p a/b/c; touch a/b/c/file; ln -s a/b/c/file link; chmod 500 a/b/c a/b; chmod 0 a"});
    _exit(outcome && !outcome->failed() && work.is_empty() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(RunCommand, WithoutARoomForItsDirectoryItFailsAndMayBeRetried) {
  const auto outcome = run_command(lease, {{"p", Program({"/bin/true"})}}, tests / "gone", clock, stop);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed());
  EXPECT_FALSE(outcome->permanent());
  EXPECT_TRUE(outcome->error().starts_with("no working directory in ")) << outcome->error();
}

TEST_F(RunCommand, EnvironmentHoldsNothingOfTheWorkers) {
  setenv("SKEP_TOKEN", "a secret", 1);
  std::string listed = run({"/usr/bin/env"}).result();
  unsetenv("SKEP_TOKEN");
  EXPECT_EQ(std::count(listed.begin(), listed.end(), '\n'), 3) << listed;
  EXPECT_TRUE(listed.starts_with("PATH="));
  EXPECT_NE(listed.find("\nSKEP_TASK=" + lease.task() + "\n"), std::string::npos) << listed;
  EXPECT_NE(listed.find("\nSKEP_ATTEMPT=3\n"), std::string::npos) << listed;
}

TEST_F(RunCommand, TheTraceIsTheTasksAndNotTheWorkers) {
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  setenv("TRACEPARENT", "of the worker", 1);
  setenv("TRACESTATE", "of the worker", 1);
  Program heir({"/usr/bin/env"});
  heir.inherits_environment = true;
  const auto lines = [&] {
    const auto outcome = run_command(lease, {{"p", heir}}, work.path(), clock, stop);
    return "\n" + outcome.value_or(Outcome()).result();
  };
  const std::string without = lines();
  lease.set_traceparent(parent);
  lease.set_tracestate("a=1,b=2");
  const std::string with = lines();
  const std::string alone = shell("env | grep -c ^TRACE").result();
  lease.set_traceparent("broken");
  const std::string broken = lines();
  unsetenv("TRACEPARENT");
  unsetenv("TRACESTATE");
  EXPECT_EQ(without.find("\nTRACE"), std::string::npos) << without;
  EXPECT_NE(with.find("\nTRACEPARENT=" + parent + "\n"), std::string::npos) << with;
  EXPECT_NE(with.find("\nTRACESTATE=a=1,b=2\n"), std::string::npos) << with;
  EXPECT_EQ(with.find("of the worker"), std::string::npos) << with;
  EXPECT_EQ(alone, "2\n");
  EXPECT_EQ(broken.find("\nTRACE"), std::string::npos) << broken;
}

TEST_F(RunCommand, StopEndsTheWholeGroupAndLeavesNoOutcome) {
  std::thread stopper([&] {
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(seen("runs")); }));
    stop.raise();
  });
  const auto outcome = run_or_stop(
      {"/bin/sh", "-c",
       "sleep 1000 & echo $! >" + seen("pid") + "; mv " + seen("pid") + " " + seen("runs") + "; wait"});
  stopper.join();
  EXPECT_FALSE(outcome.has_value());
  const pid_t grandchild = pid_in(testing::contents(seen("runs")));
  ASSERT_GT(grandchild, 0);
  EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

TEST_F(RunCommand, StopBeforeItBeginsHoldsToo) {
  stop.raise();
  EXPECT_FALSE(run_or_stop({"/bin/sleep", "1000"}).has_value());
  stop.clear();
  EXPECT_FALSE(run({"/bin/true"}).failed());
}

Duration own_processor_time() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto span = [](const timeval& time) { return seconds(time.tv_sec) + microseconds(time.tv_usec); };
  return span(used.ru_utime) + span(used.ru_stime);
}

TEST_F(RunCommand, ProgramThatClosesItsOutputsAndRunsOnIsWaitedForWithoutSpinning) {
  const Duration before = own_processor_time();
  const Instant began = clock.now();
  const Outcome outcome = shell("echo early; exec >&- 2>&-; sleep 0.5; exit 4");
  const Duration took = clock.now() - began;
  EXPECT_EQ(outcome.error(), "exit code 4");
  EXPECT_LT((own_processor_time() - before) * 4, took);
}

}  // namespace
}  // namespace skep::worker
