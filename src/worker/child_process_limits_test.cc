// SPDX-License-Identifier: Apache-2.0
// Programs that mean harm: each is bounded and none of it is left. Method: real ones, of sh and perl, within
// the limits that this machine can hold; what it can not hold is skipped, and says so.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "task/id.h"
#include "worker/executor_command.h"
#include "worker/testing/processes.h"
#include "worker/work_directory.h"

namespace skep::worker {
namespace {

using api::v1::Outcome;
using testing::eventually;
using testing::has_no_child;
using testing::is_dead;

class HostileProgram : public ::testing::Test {
 protected:
  HostileProgram() {
    const TaskId task{0, 1, 7};
    lease.set_lease(LeaseToken{task, 1, 3}.to_string());
    lease.set_task(task.to_string());
    lease.set_kind("command");
    lease.set_program("p");
    program.limits.grace = milliseconds(50);
  }
  ~HostileProgram() override {
    EXPECT_TRUE(has_no_child());
    EXPECT_TRUE(work.is_empty());
  }

  Outcome run() {
    const auto outcome = run_command(lease, {{"p", program}}, place, clock, stop);
    EXPECT_TRUE(outcome.has_value());
    return outcome.value_or(Outcome());
  }
  Outcome shell(const std::string& script) {
    program.arguments = {"/bin/sh", "-c", script};
    return run();
  }
  Outcome perl(const std::string& script) {
    program.arguments = {"/usr/bin/perl", "-e", script};
    return run();
  }
  pid_t pid_in(const std::string& name) const {
    return static_cast<pid_t>(std::atol(testing::contents(seen / name).c_str()));
  }

  SystemClock clock;
  StopSignal stop;
  api::v1::Lease lease;
  Program program;
  testing::TemporaryDirectory work;
  testing::TemporaryDirectory seen;  // where programs leave what a test looks at
  CommandPlace place{work.path(), CgroupPlace::find("")};
};

// It ignores SIGTERM, has a session of its own and no parent.
std::string daemon_script(const std::string& pid_file) {
  return "if (!fork) { setpgrp; if (!fork) { $SIG{TERM} = $SIG{HUP} = 'IGNORE'; open F, '>', '" + pid_file +
         ".new'; print F $$; close F; rename '" + pid_file + ".new', '" + pid_file +
         "'; close STDOUT; close STDERR; sleep 1000; } exit; } ";
}

TEST_F(HostileProgram, WhatLeftItsGroupIsEndedWithTheProgram) {
  const Outcome outcome = perl(daemon_script(seen / "pid") + "select undef, undef, undef, 0.01 until -e '" +
                               (seen / "pid") + "';");
  EXPECT_FALSE(outcome.failed()) << outcome.error();
  EXPECT_GT(pid_in("pid"), 0);
  EXPECT_TRUE(is_dead(pid_in("pid")));
}

TEST_F(HostileProgram, WhatIgnoresTermIsKilledWhenItsTimeIsOver) {
  program.limits.time = milliseconds(300);
  const Instant began = clock.now();
  const Outcome outcome = perl(daemon_script(seen / "pid") + "$SIG{TERM} = 'IGNORE'; sleep 1000 while 1;");
  EXPECT_TRUE(outcome.timed_out());
  EXPECT_EQ(outcome.error(), "ran longer than 300ms");
  EXPECT_GE(clock.now() - began, milliseconds(350));
  EXPECT_TRUE(pid_in("pid") == 0 || is_dead(pid_in("pid")));
}

TEST_F(HostileProgram, WhoHeedsTermMayEndInPeace) {
  program.limits.time = milliseconds(200);
  program.limits.grace = seconds(30);
  const Outcome outcome = shell("trap 'echo ended in peace >&2; exit 0' TERM; while :; do sleep 0.01; done");
  EXPECT_TRUE(outcome.timed_out()) << "it was late all the same";
  // The shell says beside it what became of its sleep.
  EXPECT_TRUE(outcome.error().starts_with("ran longer than 200ms: ")) << outcome.error();
  EXPECT_TRUE(outcome.error().ends_with("ended in peace")) << outcome.error();
}

TEST_F(HostileProgram, AForkBombIsBoundedAndNothingOfItIsLeft) {
  if (geteuid() == 0 && !place.groups.has(Controller::kProcesses))
    GTEST_SKIP() << "nothing limits root's processes here";
  program.limits.processes = 20;
  program.limits.time = milliseconds(500);
  const Outcome outcome = perl("while (1) { fork; }");
  EXPECT_TRUE(outcome.failed());
  EXPECT_EQ(outcome.error(), "ran longer than 500ms");
}

// Each generation leaves its group and its parent.
TEST_F(HostileProgram, ASpawnerOfDaemonsIsEndedWithoutALimit) {
  program.limits.time = milliseconds(300);
  const Outcome outcome = perl(
      "$| = 1; for (1..40) { if (!fork) { setpgrp; if (!fork) { $SIG{TERM} = 'IGNORE'; sleep 1000 } exit } } "
      "sleep 1000");
  EXPECT_EQ(outcome.error(), "ran longer than 300ms");
}

TEST_F(HostileProgram, AMemoryHogIsEnded) {
  program.limits.memory_bytes = std::uint64_t{64} << 20;
  const Outcome outcome = perl("my @all; push @all, 'x' x 1_000_000 while 1;");
  EXPECT_TRUE(outcome.failed());
  EXPECT_FALSE(outcome.permanent());
  if (place.groups.has(Controller::kMemory)) {
    EXPECT_EQ(outcome.error(), "it wanted more than its 64.0 MiB of memory");
    EXPECT_GT(outcome.memory_peak_bytes(), std::uint64_t{48} << 20);
    EXPECT_LE(outcome.memory_peak_bytes(), std::uint64_t{64} << 20);
  }
}

TEST_F(HostileProgram, WithoutCgroupsMemoryIsLimitedForEachProcess) {
  place = CommandPlace(work.path());
  program.limits.memory_bytes = std::uint64_t{64} << 20;
  const Outcome outcome = perl("my @all; push @all, 'x' x 1_000_000 while 1;");
  EXPECT_TRUE(outcome.failed());
  EXPECT_LT(outcome.memory_peak_bytes(), std::uint64_t{128} << 20);
}

TEST_F(HostileProgram, ABusyLoopUsesUpItsProcessorTime) {
  program.limits.cpu = seconds(1);
  const Outcome outcome = shell("while :; do :; done");
  EXPECT_EQ(outcome.error(), "it used more than its 1s of processor time");
  // The system ends it by a count of ticks, which a busy machine makes a rough one.
  EXPECT_GE(outcome.cpu_us(), 500'000u);
  EXPECT_LT(outcome.cpu_us(), 4'000'000u);
}

TEST_F(HostileProgram, EndlessOutputIsEndedAtItsLimit) {
  program.limits.output_bytes = 10'240;
  program.arguments = {"/usr/bin/yes"};
  const Outcome outcome = run();
  EXPECT_TRUE(outcome.permanent());
  EXPECT_EQ(outcome.error(), "its output is larger than 10.0 KiB");
}

TEST_F(HostileProgram, WithoutANetworkItReachesNothingNotEvenThisMachine) {
  program.has_network = false;
  if (!check_place({{"p", program}}, place)) GTEST_SKIP() << "no network namespaces here";
  const Outcome outcome = perl(
      "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die; "
      "connect($s, pack_sockaddr_in(9, inet_aton('127.0.0.1'))) or print $!+0;");
  EXPECT_FALSE(outcome.failed()) << outcome.error();
  EXPECT_EQ(outcome.result(), "101");  // ENETUNREACH; with a network it would be refused
}

TEST_F(HostileProgram, ItsDirectoryIsItsOwnAndWhatItWroteThereIsGone) {
  program.is_body_file = true;
  program.arguments = {"/bin/sh", "-c", "cat \"$1\"; echo more > own; ls; cat", "x", "{body}"};
  lease.set_body("the body\n");
  const Outcome outcome = run();
  EXPECT_EQ(outcome.result(), "the body\nbody\nown\n") << outcome.error();
}

TEST_F(HostileProgram, ExitCodesMeanWhatTheirTableSays) {
  program.exit_codes.success = parse_exit_codes("0,1").value();
  program.exit_codes.permanent = parse_exit_codes("2-4").value();
  const Outcome good = shell("echo found nothing; exit 1");
  EXPECT_FALSE(good.failed());
  EXPECT_EQ(good.result(), "found nothing\n");
  EXPECT_TRUE(shell("exit 3").permanent());
  const Outcome again = shell("exit 5");
  EXPECT_TRUE(again.failed());
  EXPECT_FALSE(again.permanent());
  program.exit_codes.retried = parse_exit_codes("75").value();
  EXPECT_TRUE(shell("exit 5").permanent());
  EXPECT_FALSE(shell("exit 75").permanent());
}

TEST_F(HostileProgram, AReportTellsOfEveryEnd) {
  program.is_reported = true;
  const auto report = [](const Outcome& outcome) {
    EXPECT_FALSE(outcome.failed()) << outcome.error();
    api::v1::RunReport out;
    EXPECT_TRUE(out.ParseFromString(outcome.result()));
    return out;
  };
  const auto failed = report(shell("printf 'a\\000b'; echo why >&2; exit 3"));
  EXPECT_EQ(failed.exit_code(), 3);
  EXPECT_EQ(failed.output(), std::string("a\0b", 3));
  EXPECT_EQ(failed.errors(), "why\n");
  EXPECT_EQ(report(shell("kill -KILL $$")).signal(), SIGKILL);
  program.limits.time = seconds(2);  // it counts from before the program is there
  const auto late = report(shell("echo early; sleep 1000"));
  EXPECT_EQ(late.problem(), "ran longer than 2s");
  EXPECT_EQ(late.output(), "early\n");
}

TEST_F(HostileProgram, WhatItUsedIsMeasured) {
  const Outcome outcome =
      perl("if (!fork) { my $x = 'x' x 80_000_000; my $n = 0; $n += $_ for 1..3_000_000; exit } wait;");
  EXPECT_FALSE(outcome.failed()) << outcome.error();
  EXPECT_GT(outcome.cpu_us(), 20'000u) << "also what its children used";
  EXPECT_GT(outcome.memory_peak_bytes(), 80'000'000u);
}

TEST_F(HostileProgram, ParametersThatAreNotAllowedNeverReachIt) {
  program.parameters = {parse_parameter("x=1..9").value()};
  program.arguments = {"/bin/echo", "{x}"};
  lease.add_parameters("x=3");
  EXPECT_EQ(run().result(), "3\n");
  lease.set_parameters(0, "x=30");
  const Outcome outcome = run();
  EXPECT_TRUE(outcome.permanent());
  EXPECT_EQ(outcome.error(), "parameter 'x' must be a whole number from 1 to 9");
}

// A worker that is killed can end nothing itself.
TEST_F(HostileProgram, NothingIsLeftOfItWhenItsWorkerIsKilled) {
  const pid_t worker = fork();
  if (worker == 0) {
    program.arguments = {"/usr/bin/perl", "-e", daemon_script(seen / "pid") + "sleep 1000;"};
    (void)run_command(lease, {{"p", program}}, place, clock, stop);
    _exit(0);
  }
  ASSERT_TRUE(eventually([&] { return pid_in("pid") > 0; }));
  const pid_t left = pid_in("pid");
  EXPECT_FALSE(is_dead(left));
  kill(worker, SIGKILL);
  ASSERT_EQ(waitpid(worker, nullptr, 0), worker);
  EXPECT_TRUE(eventually([&] { return is_dead(left); }));
  // Its directory is another worker's to remove, once it is old enough not to be one that is being made.
  const WorkDirectory in_use(work.path());
  EXPECT_EQ(sweep_work_directories(work.path(), clock.now()), 0);
  EXPECT_EQ(sweep_work_directories(work.path(), clock.now() + minutes(5)), 1);
}

TEST(CommandPlaceTest, SaysWhatHoldsTheLimits) {
  const std::string words = limits_in_words(CommandPlace("/tmp"));
  EXPECT_TRUE(words.starts_with("memory by rlimit, each process by itself; processes by ")) << words;
}

}  // namespace
}  // namespace skep::worker
