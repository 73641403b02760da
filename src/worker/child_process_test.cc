// SPDX-License-Identifier: Apache-2.0
// A child gets what it is given and nothing else, and nothing of it is left. Method: real programs (sh,
// perl), which tell about themselves.
#include "worker/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <optional>
#include <thread>

#include "worker/testing/processes.h"

namespace skep::worker {
namespace {

using testing::eventually;
using testing::has_no_child;
using testing::is_dead;

// Reads until the other side is closed.
std::string read_all(const Descriptor& descriptor) {
  std::string text;
  char buffer[4096];
  while (true) {
    pollfd state{descriptor.number(), POLLIN, 0};
    if (poll(&state, 1, 60'000) == 0) {
      ADD_FAILURE() << "nothing comes from the child";
      return text;
    }
    const ssize_t size = read(descriptor.number(), buffer, sizeof buffer);
    if (size == 0) return text;
    if (size > 0) text.append(buffer, static_cast<std::size_t>(size));
  }
}

std::string read_line(const Descriptor& descriptor) {
  std::string line;
  while (!line.ends_with('\n')) {
    pollfd state{descriptor.number(), POLLIN, 0};
    char byte = 0;
    if (poll(&state, 1, 60'000) == 0 || read(descriptor.number(), &byte, 1) != 1) {
      ADD_FAILURE() << "no line comes from the child";
      return line;
    }
    line += byte;
  }
  return line;
}

void wait_for_end(const ChildProcess& child) {
  pollfd state{child.exit_descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&state, 1, 60'000), 1);
}

class ChildProcessTest : public ::testing::Test {
 protected:
  ~ChildProcessTest() override { EXPECT_TRUE(has_no_child()); }

  Result<ChildProcess> start(std::vector<std::string> argv, std::string_view input = {}) {
    return ChildProcess::start(
        {std::move(argv), {"PATH=/usr/bin:/bin", "NAME=value"}, directory.path(), input});
  }
  ChildProcess shell(const std::string& script, std::string_view input = {}) {
    auto child = start({"/bin/sh", "-c", script}, input);
    EXPECT_TRUE(child.has_value()) << child.error().message;
    return std::move(child).value();
  }

  testing::TemporaryDirectory directory;
};

TEST_F(ChildProcessTest, OutputErrorsAndExitCodeComeBack) {
  ChildProcess child = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(read_all(child.output()), "out\n");
  EXPECT_EQ(read_all(child.errors()), "err\n");
  wait_for_end(child);
  const int status = child.finish();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_EQ(child.finish(), status);
}

TEST_F(ChildProcessTest, InputIsThereWholeAndNobodyHasToFeedIt) {
  const std::string input(std::size_t{5} << 20, 'x');
  ChildProcess child = shell("wc -c", input);
  EXPECT_EQ(std::atol(read_all(child.output()).c_str()), static_cast<long>(input.size()));
  ChildProcess careless = shell("exec <&-; echo still here", input);
  EXPECT_EQ(read_all(careless.output()), "still here\n");
  wait_for_end(careless);
  EXPECT_EQ(careless.finish(), 0);
}

TEST_F(ChildProcessTest, EnvironmentAndDirectoryAreTheGivenOnes) {
  setenv("SKEP_TEST_SECRET", "secret", 1);
  auto child = start({"/usr/bin/env"});
  unsetenv("SKEP_TEST_SECRET");
  ASSERT_TRUE(child.has_value()) << child.error().message;
  EXPECT_EQ(read_all(child.value().output()), "PATH=/usr/bin:/bin\nNAME=value\n");
  ChildProcess where = shell("pwd -P");
  EXPECT_EQ(read_all(where.output()), std::filesystem::canonical(directory.path()).string() + "\n");
}

TEST_F(ChildProcessTest, NoOtherDescriptorIsInherited) {
  // As a library opens it that does not think of children.
  const Descriptor careless(open("/dev/null", O_RDONLY));
  const Descriptor high(fcntl(careless.number(), F_DUPFD, 200));
  ASSERT_GE(high.number(), 200);
  ChildProcess child = shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done");
  const std::string listed = read_all(child.output());
  EXPECT_EQ(listed.find(std::to_string(high.number()) + "\n"), std::string::npos) << listed;
  // The shell itself has the directory open while it lists.
  EXPECT_LE(std::count(listed.begin(), listed.end(), '\n'), 4) << listed;
}

TEST_F(ChildProcessTest, SignalsAreTheDefaultOnes) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto pipe_before = std::signal(SIGPIPE, SIG_IGN);
  auto child = start({"/bin/cat", "/proc/self/status"});
  std::signal(SIGPIPE, pipe_before);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child.has_value()) << child.error().message;
  const std::string status = read_all(child.value().output());
  EXPECT_NE(status.find("SigBlk:\t0000000000000000"), std::string::npos) << status;
  EXPECT_NE(status.find("SigIgn:\t0000000000000000"), std::string::npos) << status;
}

TEST_F(ChildProcessTest, WhatCanNotBeRunIsAnErrorThatSaysWhy) {
  const auto missing = start({"/nowhere/program"});
  ASSERT_TRUE(missing.has_error());
  EXPECT_EQ(missing.error().code, Code::kUnavailable);
  EXPECT_EQ(missing.error().message, "cannot run /nowhere/program: No such file or directory");
  const auto homeless = ChildProcess::start({{"/bin/true"}, {}, directory / "gone", {}});
  ASSERT_TRUE(homeless.has_error());
  EXPECT_EQ(homeless.error().code, Code::kUnavailable);
}

TEST_F(ChildProcessTest, WholeGroupEndsWithIt) {
  ChildProcess child = shell("sleep 1000 & echo $!; exec sleep 1000");
  const pid_t grandchild = static_cast<pid_t>(std::atol(read_line(child.output()).c_str()));
  ASSERT_GT(grandchild, 0);
  EXPECT_FALSE(is_dead(grandchild));
  const int status = child.finish();
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

TEST_F(ChildProcessTest, DestructorEndsTheGroupToo) {
  pid_t grandchild = -1;
  {
    ChildProcess child = shell("sleep 1000 & echo $!; exec sleep 1000");
    grandchild = static_cast<pid_t>(std::atol(read_line(child.output()).c_str()));
    const ChildProcess moved = std::move(child);
    EXPECT_FALSE(is_dead(grandchild));
  }
  EXPECT_TRUE(eventually([&] { return is_dead(grandchild); }));
}

// It goes over to the group of a child of its own, which ends when it does.
TEST_F(ChildProcessTest, ChildThatLeftItsGroupIsEndedAllTheSame) {
  auto child = start({"/usr/bin/perl", "-e", R"(
    pipe(my $end, my $mine);
    my $other = fork;
    if (!$other) { close $mine; readline $end; exit; }
    setpgrp($other, $other);
    setpgrp(0, $other);
    syswrite STDOUT, "moved\n";
    sleep 1000;)"});
  ASSERT_TRUE(child.has_value()) << child.error().message;
  EXPECT_EQ(read_line(child.value().output()), "moved\n");
  EXPECT_TRUE(WIFSIGNALED(child.value().finish()));
}

TEST_F(ChildProcessTest, EndThatNobodyCanTellIsNoSuccess) {
  // As it is inherited from a parent that does not want to wait for its children.
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  ChildProcess child = shell("until [ -e go ]; do sleep 0.01; done; exit 3");
  std::ofstream(directory / "go").close();
  wait_for_end(child);
  EXPECT_NE(child.finish(), 0);
  std::signal(SIGCHLD, before);
}

TEST_F(ChildProcessTest, DiesWithTheThreadThatStartedIt) {
  std::optional<ChildProcess> child;
  std::thread([&] { child.emplace(shell("exec sleep 1000")); }).join();
  wait_for_end(*child);
  const int status = child->finish();
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(ChildProcessTest, DescriptorsAreGivenBack) {
  const auto count = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = count();
  for (int i = 0; i < 5; ++i) {
    shell("exit 0");
    EXPECT_TRUE(start({"/nowhere/program"}).has_error());
  }
  EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace skep::worker
