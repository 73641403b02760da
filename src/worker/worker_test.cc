// SPDX-License-Identifier: Apache-2.0
// A whole worker against a manager on loopback: what it does with leases, orders, silence and nonsense.
// Method: commands that wait for a file of the test stand for tasks that run; what the manager saw tells the
// rest.
#include "worker/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>

#include "api/errors.h"
#include "base/clock.h"
#include "compute/engine.h"
#include "worker/testing/lease_manager.h"
#include "worker/testing/processes.h"

namespace skep::worker {
namespace {

using testing::eventually;
using testing::LeaseManager;
using Seen = LeaseManager::Seen;
namespace v1 = api::v1;

constexpr std::uint64_t kForEver = std::uint64_t{1} << 53;

v1::Lease hash(const std::string& name, std::uint64_t iterations) {
  v1::Lease lease;
  lease.set_lease(name);
  lease.set_kind("sha512");
  lease.set_body("body of " + name);
  lease.set_iterations(iterations);
  return lease;
}

// Tells in a file that it runs, waits to be let go, tells that it ends.
v1::Lease gate(const std::string& name) {
  v1::Lease lease;
  lease.set_lease(name);
  lease.set_kind("command");
  lease.set_program("gate");
  lease.set_body(name);
  return lease;
}

bool is_completed(const Seen& seen, const std::string& name) {
  return std::any_of(seen.outcomes.begin(), seen.outcomes.end(),
                     [&](const v1::Outcome& outcome) { return outcome.lease() == name; });
}

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() {
    options.slots = 1;
    options.prefetch = 1;
    options.name = "tested";
    options.command_directory = work.path();
    options.drain_timeout = minutes(5);
    options.programs["gate"] =
        Program({"/bin/sh", "-c",
                 "name=$(cat); echo $$ > \"$0/pid-$name\"; mv \"$0/pid-$name\" \"$0/at-$name\"; "
                 "until [ -e \"$0/go\" ]; do sleep 0.01; done; touch \"$0/end-$name\"; echo \"did $name\"",
                 files.path()});
  }
  ~WorkerTest() override {
    if (worker.valid()) {
      for (int i = 0; i < 3; ++i) handle.drain(DrainCause::kSignal);
      worker.wait();
    }
    EXPECT_TRUE(testing::has_no_child());
    EXPECT_TRUE(work.is_empty());
  }

  void start(const std::vector<std::string>& managers) {
    options.managers = managers;
    worker = std::async(std::launch::async, [this] { return run_worker(options, clock, Logger(), handle); });
  }
  void start(const LeaseManager& manager) { start(std::vector{manager.url()}); }
  // The exit code; -1: it did not end in time, or its options are wrong.
  int exit_code() {
    if (worker.wait_for(std::chrono::minutes(1)) != std::future_status::ready) return -1;
    const auto code = worker.get();
    return code.has_value() ? code.value() : -1;
  }

  bool wait_at_gate(const std::string& name) const {
    return eventually([&] { return std::filesystem::exists(files / ("at-" + name)); });
  }
  pid_t pid_at_gate(const std::string& name) const {
    return static_cast<pid_t>(std::atol(testing::contents(files / ("at-" + name)).c_str()));
  }
  void open_gate() const { std::ofstream(files / "go").close(); }

  SystemClock clock;
  testing::TemporaryDirectory files;
  testing::TemporaryDirectory work;
  WorkerOptions options;
  DrainHandle handle;
  std::future<Result<int>> worker;
};

TEST_F(WorkerTest, RegistersComputesDeliversAndLeaves) {
  LeaseManager manager;
  options.slots = 2;
  options.instance = "token-1";
  start(manager);
  for (std::uint64_t i = 1; i <= 40; ++i) manager.give(hash("task" + std::to_string(i), i));
  ASSERT_TRUE(manager.saw([](const Seen& seen) { return seen.outcomes.size() >= 40; }));
  handle.drain(DrainCause::kSignal);
  EXPECT_EQ(exit_code(), 0);
  const Seen seen = manager.seen();
  ASSERT_EQ(seen.outcomes.size(), 40u);
  for (const auto& outcome : seen.outcomes) {
    const std::uint64_t iterations = std::stoul(outcome.lease().substr(4));
    EXPECT_EQ(outcome.result(),
              compute::to_hex(compute::reference_digest("body of " + outcome.lease(), iterations)));
  }
  ASSERT_EQ(seen.registers.size(), 1u);
  const auto& request = seen.registers[0];
  EXPECT_EQ(request.name(), "tested");
  EXPECT_EQ(request.slots(), 2u);
  EXPECT_EQ(request.instance(), "token-1");
  EXPECT_EQ(request.pid(), getpid());
  ASSERT_EQ(request.kinds_size(), 2);
  EXPECT_EQ(request.kinds(0), "sha512");
  EXPECT_EQ(request.kinds(1), "command");
  ASSERT_EQ(request.programs_size(), 1);
  EXPECT_EQ(request.programs(0), "gate");
  EXPECT_EQ(seen.deleted, std::vector<std::string>{"drained"});
}

TEST_F(WorkerTest, CompletesInBatchesWhileTheManagerIsSlow) {
  std::atomic<int> refused = 0;
  std::atomic<bool> is_busy = true;
  LeaseManager manager([&](const http::Request& request) -> std::optional<http::Response> {
    if (request.path != "/v1/leases:complete" || !is_busy) return std::nullopt;
    ++refused;
    return client::testing::problem(fail(Code::kUnavailable, "the disk is full"));
  });
  options.slots = 2;
  options.prefetch = 8;
  open_gate();
  start(manager);
  for (int i = 0; i < 10; ++i) manager.give(gate("c" + std::to_string(i)));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(files / ("end-c" + std::to_string(i))); }));
  }
  is_busy = false;
  ASSERT_TRUE(manager.saw([](const Seen& seen) { return seen.outcomes.size() >= 10; }));
  const Seen seen = manager.seen();
  EXPECT_EQ(seen.outcomes.size(), 10u);
  for (const auto& outcome : seen.outcomes) EXPECT_EQ(outcome.result(), "did " + outcome.lease() + "\n");
  EXPECT_GT(refused, 0);
  // All but what still ran on the two slots went at once.
  EXPECT_LE(seen.completes, 3u);
}

TEST_F(WorkerTest, HeartbeatsListWhatIsHeldAndHowFarItIs) {
  LeaseManager manager;
  start(manager);
  manager.give(hash("busy", kForEver));
  manager.give(hash("waiting", 1));
  EXPECT_TRUE(manager.saw([](const Seen& seen) {
    if (seen.heartbeats.empty()) return false;
    const auto& last = seen.heartbeats.back();
    return last.leases_size() == 2 && last.leases(0).lease() == "busy" && last.leases(0).started() &&
           last.leases(0).iterations_done() > 0 && !last.leases(1).started() &&
           last.iterations_per_second() > 0;
  }));
}

TEST_F(WorkerTest, DrainFinishesWhatRunsAndHandsBackWhatWaits) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("runs"));
  manager.give(gate("waits"));
  ASSERT_TRUE(wait_at_gate("runs"));
  ASSERT_TRUE(manager.saw([](const Seen& seen) {
    return !seen.heartbeats.empty() && seen.heartbeats.back().leases_size() == 2;
  }));
  handle.drain(DrainCause::kSignal);
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return seen.released.contains("waits"); }));
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return seen.heartbeats.back().draining(); }));
  open_gate();
  EXPECT_EQ(exit_code(), 0);
  const Seen seen = manager.seen();
  EXPECT_EQ(seen.released, (std::map<std::string, bool>{{"waits", false}}));
  EXPECT_TRUE(is_completed(seen, "runs"));
  EXPECT_FALSE(is_completed(seen, "waits"));
  EXPECT_EQ(seen.deleted, std::vector<std::string>{"drained"});
}

TEST_F(WorkerTest, SecondSignalHandsBackWhatRunsToo) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("runs"));
  ASSERT_TRUE(wait_at_gate("runs"));
  handle.drain(DrainCause::kSignal);
  handle.drain(DrainCause::kSignal);
  EXPECT_EQ(exit_code(), 0);
  const Seen seen = manager.seen();
  EXPECT_EQ(seen.released, (std::map<std::string, bool>{{"runs", true}}));
  EXPECT_FALSE(is_completed(seen, "runs"));
  EXPECT_TRUE(testing::is_dead(pid_at_gate("runs")));
}

TEST_F(WorkerTest, DrainThatTakesTooLongHandsBackWhatRuns) {
  LeaseManager manager;
  options.drain_timeout = milliseconds(50);
  start(manager);
  manager.give(hash("busy", kForEver));
  ASSERT_TRUE(manager.saw([](const Seen& seen) {
    return !seen.heartbeats.empty() && seen.heartbeats.back().leases_size() == 1;
  }));
  handle.drain(DrainCause::kOrder);
  EXPECT_EQ(exit_code(), 0);
  EXPECT_EQ(manager.seen().released, (std::map<std::string, bool>{{"busy", true}}));
}

TEST_F(WorkerTest, ManagersOrderDrainsToo) {
  LeaseManager manager;
  start(manager);
  manager.say_drain();
  EXPECT_EQ(exit_code(), 0);
  EXPECT_EQ(manager.seen().deleted, std::vector<std::string>{"drained"});
}

TEST_F(WorkerTest, ANoticeBeforeItRunsOrLaterReachesTheManager) {
  LeaseManager manager;
  handle.note("the first");
  start(manager);
  const auto is_told = [](const std::string& notice) {
    return [notice](const Seen& seen) {
      return !seen.heartbeats.empty() && seen.heartbeats.back().notice() == notice;
    };
  };
  EXPECT_TRUE(manager.saw(is_told("the first")));
  handle.note("the second");
  EXPECT_TRUE(manager.saw(is_told("the second")));
}

TEST_F(WorkerTest, WhoLeavesAtOnceSaysWhatItWasTold) {
  LeaseManager manager;
  start(manager);
  ASSERT_TRUE(manager.saw([](const Seen& seen) { return !seen.heartbeats.empty(); }));
  handle.note("spot interruption");
  handle.drain(DrainCause::kSpotNotice);
  EXPECT_EQ(exit_code(), 0);
  EXPECT_EQ(manager.seen().deleted, std::vector<std::string>{"drained: spot interruption"});
}

TEST_F(WorkerTest, DrainBeforeItRunsHolds) {
  LeaseManager manager;
  handle.drain(DrainCause::kSignal);
  start(manager);
  EXPECT_EQ(exit_code(), 0);
  handle.drain(DrainCause::kSignal);  // nobody listens any more
}

// The drain comes at every moment of the first calls.
TEST_F(WorkerTest, DrainAtAnyMomentEndsIt) {
  LeaseManager manager;
  for (std::size_t i = 0; i < 25; ++i) {
    handle = DrainHandle();
    const std::size_t before = manager.seen().requests;
    start(manager);
    EXPECT_TRUE(manager.saw([&](const Seen& seen) { return seen.requests >= before + i % 5; }));
    handle.drain(DrainCause::kSignal);
    ASSERT_EQ(exit_code(), 0) << i;
  }
}

TEST_F(WorkerTest, ThirdSignalEndsItThoughNoManagerAnswers) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("runs"));
  ASSERT_TRUE(wait_at_gate("runs"));
  manager.go_down();
  for (int i = 0; i < 3; ++i) handle.drain(DrainCause::kSignal);
  EXPECT_EQ(exit_code(), 0);
  EXPECT_TRUE(testing::is_dead(pid_at_gate("runs")));
}

TEST_F(WorkerTest, OrphanExits) {
  std::string gone;
  {
    const LeaseManager manager;
    gone = manager.url();
  }
  options.orphan_timeout = milliseconds(300);
  const Instant began = clock.now();
  start({gone});
  EXPECT_EQ(exit_code(), 0);
  EXPECT_GE(clock.now() - began, options.orphan_timeout);
}

TEST_F(WorkerTest, ResultOutlivesTheManagersAbsence) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("a"));
  ASSERT_TRUE(wait_at_gate("a"));
  manager.go_down();
  open_gate();
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(files / "end-a"); }));
  manager.come_up();
  ASSERT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "a"); }));
  manager.give(hash("b", 3));
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "b"); }));
  EXPECT_EQ(manager.seen().registers.size(), 2u);
  EXPECT_EQ(manager.seen().outcomes.size(), 2u);
}

TEST_F(WorkerTest, TaskThatRunsIsShownToTheManagerThatComesBack) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("a"));
  ASSERT_TRUE(wait_at_gate("a"));
  manager.go_down();
  manager.come_up();
  EXPECT_TRUE(manager.saw([](const Seen& seen) {
    return seen.registers.size() == 2 && !seen.heartbeats.empty() &&
           seen.heartbeats.back().leases_size() == 1 && seen.heartbeats.back().leases(0).started();
  }));
  EXPECT_FALSE(testing::is_dead(pid_at_gate("a")));
}

TEST_F(WorkerTest, AnotherManagerTakesOver) {
  LeaseManager first;
  LeaseManager second;
  start({first.url(), second.url()});
  // It draws which of them it begins at.
  const auto has_registered = [](const LeaseManager& manager) { return !manager.seen().registers.empty(); };
  ASSERT_TRUE(eventually([&] { return has_registered(first) || has_registered(second); }));
  LeaseManager& here = has_registered(first) ? first : second;
  LeaseManager& there = has_registered(first) ? second : first;
  here.give(gate("a"));
  ASSERT_TRUE(wait_at_gate("a"));
  here.go_down();
  EXPECT_TRUE(there.saw([](const Seen& seen) {
    return !seen.registers.empty() && !seen.heartbeats.empty() && seen.heartbeats.back().leases_size() == 1;
  }));
  open_gate();
  EXPECT_TRUE(there.saw([](const Seen& seen) { return is_completed(seen, "a"); }));
}

TEST_F(WorkerTest, ManagerThatIsLearntTakesOver) {
  LeaseManager first;
  LeaseManager second;
  start(first);
  first.say_managers(second.url().substr(std::string("http://").size()));
  const std::size_t before = first.seen().heartbeats.size();
  ASSERT_TRUE(first.saw([&](const Seen& seen) { return seen.heartbeats.size() >= before + 3; }));
  first.go_down();
  EXPECT_TRUE(second.saw([](const Seen& seen) { return !seen.registers.empty(); }));
}

TEST_F(WorkerTest, CancelledTaskIsStoppedAndItsSlotIsFree) {
  LeaseManager manager;
  start(manager);
  manager.give(gate("cancelled"));
  ASSERT_TRUE(wait_at_gate("cancelled"));
  manager.say_cancelled("cancelled");
  manager.give(gate("next"));
  EXPECT_TRUE(wait_at_gate("next"));
  EXPECT_TRUE(testing::is_dead(pid_at_gate("cancelled")));
  open_gate();
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "next"); }));
  EXPECT_FALSE(is_completed(manager.seen(), "cancelled"));
}

TEST_F(WorkerTest, LostLeaseIsStoppedWhetherItRunsOrWaits) {
  LeaseManager manager;
  start(manager);
  manager.give(hash("lost", kForEver));
  manager.give(gate("lost too"));
  ASSERT_TRUE(manager.saw([](const Seen& seen) {
    return !seen.heartbeats.empty() && seen.heartbeats.back().leases_size() == 2;
  }));
  manager.say_lost("lost too");
  manager.say_lost("lost");
  manager.give(hash("next", 1));
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "next"); }));
  const Seen seen = manager.seen();
  EXPECT_EQ(seen.outcomes.size(), 1u);
  EXPECT_TRUE(seen.released.empty());
}

TEST_F(WorkerTest, ManagerThatAnswersNonsenseIsSurvived) {
  std::size_t answered = 0;
  LeaseManager manager([&](const http::Request&) -> std::optional<http::Response> {
    switch (answered++) {
      case 0:
        return http::Response::text(200, "text/html", "<p>It works!");
      case 1:
        return http::Response::text(503, "text/html", "<p>Sorry");
      case 2:
        return http::Response::text(200, api::kProtobuf, "\xff\xff\xff");
      default:
        return std::nullopt;
    }
  });
  start(manager);
  manager.give(hash("a", 2));
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "a"); }));
}

TEST_F(WorkerTest, NonsenseInsideAnswersIsSurvived) {
  std::atomic<int> acquires = 0;
  std::atomic<int> completes = 0;
  LeaseManager manager([&](const http::Request& request) -> std::optional<http::Response> {
    if (request.path == "/v1/leases:acquire" && acquires++ == 0) {
      v1::AcquireReply reply;
      reply.add_leases();                     // without a name
      *reply.add_leases() = hash("none", 0);  // without work
      *reply.add_leases() = hash("a", 1);
      *reply.add_leases() = hash("a", 2);  // the same name again
      reply.add_leases()->set_lease("without a kind");
      return client::testing::reply(reply);
    }
    if (request.path == "/v1/leases:complete" && completes++ == 0) {
      v1::CompleteReply reply;  // says nothing of what was delivered, and something of what was not
      reply.add_outcomes()->set_lease("unknown");
      reply.mutable_outcomes(0)->set_status("ok");
      return client::testing::reply(reply);
    }
    return std::nullopt;
  });
  manager.say_lost("never heard of");
  manager.say_cancelled("");
  manager.say_managers("not a manager at all");
  start(manager);
  manager.give(hash("b", 2));
  EXPECT_TRUE(manager.saw([](const Seen& seen) {
    return is_completed(seen, "none") && is_completed(seen, "a") && is_completed(seen, "without a kind") &&
           is_completed(seen, "b");
  }));
  EXPECT_EQ(manager.seen().outcomes.size(), 4u);
}

TEST_F(WorkerTest, ResultIsKeptWhileAProxyFindsNoManagerBehindIt) {
  std::atomic<int> completes = 0;
  LeaseManager manager([&](const http::Request& request) -> std::optional<http::Response> {
    if (request.path != "/v1/leases:complete" || ++completes > 3) return std::nullopt;
    return http::Response::text(502, "text/html", "<h1>Bad Gateway</h1>");
  });
  start(manager);
  manager.give(hash("a", 2));
  EXPECT_TRUE(manager.saw([](const Seen& seen) { return is_completed(seen, "a"); }));
}

TEST_F(WorkerTest, OrphanAmongServersThatAreNoManagersExits) {
  LeaseManager manager([](const http::Request&) -> std::optional<http::Response> {
    return http::Response::text(200, "text/html", "<p>It works!");
  });
  options.orphan_timeout = milliseconds(300);
  start(manager);
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(WorkerTest, RefusedRegistrationIsAnExitCode) {
  LeaseManager manager([](const http::Request&) -> std::optional<http::Response> {
    return client::testing::problem(fail(Code::kInvalid, "slots: at most 7"));
  });
  start(manager);
  EXPECT_EQ(exit_code(), api::info(Code::kInvalid).exit_code);
}

TEST_F(WorkerTest, WrongOptionsAreOneSentence) {
  const auto error = [&](WorkerOptions wrong) {
    auto code = run_worker(std::move(wrong), clock, Logger(), handle);
    EXPECT_TRUE(code.has_error());
    return code.has_error() ? code.error() : Error();
  };
  EXPECT_EQ(error(options).code, Code::kInvalid);  // no manager
  options.managers = {"127.0.0.1:1"};
  WorkerOptions many = options;
  many.slots = 1'001;
  EXPECT_EQ(error(many), fail(Code::kInvalid, "slots: at most 1000"));
  WorkerOptions missing = options;
  missing.programs["gone"] = Program({"/nowhere/program"});
  EXPECT_EQ(error(missing).code, Code::kInvalid);
}

}  // namespace
}  // namespace skep::worker
