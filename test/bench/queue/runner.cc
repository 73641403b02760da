// SPDX-License-Identifier: Apache-2.0
#include "runner.h"

#include <sys/resource.h>

#include <barrier>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "bodies.h"

namespace skep::bench::queue {
namespace {

// What the phase enqueue leaves to drain at most, so that memory and time stay bounded.
constexpr std::uint64_t kLeftBytesMax = std::uint64_t{2} << 30;
constexpr std::uint64_t kLeftTasksMax = 400'000;
// Unmeasured: so that a drain has enough to do where one connection could not enqueue it, and for what is
// left when its time is over.
constexpr int kAsideConnections = 8;
constexpr std::size_t kAsideBatch = 100;
constexpr int kFillPart = 4;  // of the time of a phase
constexpr Duration kSweepTime = seconds(120);
// Longer than any server is away for; who waits longer for a task that must be there has lost it.
constexpr Duration kLost = seconds(60);

enum class Phase { kCycle, kEnqueue, kFill, kDrain };

struct Run {
  const Peer& peer;
  const Plan& plan;
  const Pool pool;
  const SystemClock clock;
  Ledger ledger;
};

double seconds_between(Instant from, Instant to) {
  return std::chrono::duration<double>(to - from).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// One connection in one phase.
class Lane {
 public:
  Lane(Run& run, const Plan& plan, std::uint64_t first_number)
      : run_(run), batch_(plan.batch), next_number_(first_number), driver_(run.peer.connect(plan)) {
    for (std::size_t i = 0; i < batch_; ++i) bodies_.emplace_back(run.plan.body_bytes, '\0');
    views_.assign(bodies_.begin(), bodies_.end());
  }

  void run(Phase phase, Instant deadline) {
    last_ = run_.clock.now();
    switch (phase) {
      case Phase::kCycle:
        while (last_ < deadline) cycle();
        break;
      case Phase::kEnqueue:
      case Phase::kFill:
        while (last_ < deadline && run_.ledger.open() < left_max()) {
          out.round.record(enqueue());
          out.tasks += batch_;
        }
        break;
      case Phase::kDrain:
        while (last_ < deadline && (run_.ledger.open() > 0 || !run_.peer.is_queue)) {
          const Instant begin = run_.clock.now();
          if (const std::size_t got = take(batch_); got > 0) out.round.record((last_ - begin).count());
        }
        break;
    }
    if (driver_->stop()) last_ = run_.clock.now();
    out.refused = driver_->refused();
  }

  Instant last_answer() const { return last_; }

  PhaseResult out;

 private:
  std::uint64_t left_max() const { return std::min(kLeftTasksMax, kLeftBytesMax / run_.plan.body_bytes); }

  std::int64_t enqueue() {
    std::uint64_t hashes = 0;
    for (auto& body : bodies_) {
      run_.pool.write(next_number_, body);
      hashes += Ledger::hash(next_number_++);
    }
    const Instant begin = run_.clock.now();
    driver_->enqueue(views_);
    last_ = run_.clock.now();
    run_.ledger.enqueued(batch_, hashes);
    out.enqueue.record((last_ - begin).count());
    return (last_ - begin).count();
  }

  // Leases and completes up to `max`. Gives how many.
  std::size_t take(std::size_t max) {
    const Instant begin = run_.clock.now();
    driver_->lease(max, leased_);
    const Instant leased = run_.clock.now();
    if (leased_.empty()) return 0;
    std::uint64_t hashes = 0;
    for (const auto body : leased_) {
      if (run_.peer.is_queue) hashes += Ledger::hash(run_.pool.check(body));
      if (body.size() != run_.plan.body_bytes) fail("a body of another size came back");
    }
    const std::size_t count = leased_.size();
    const Instant checked = run_.clock.now();
    driver_->complete();
    last_ = run_.clock.now();
    run_.ledger.completed(count, hashes);
    out.lease.record((leased - begin).count());
    out.complete.record((last_ - checked).count());
    out.tasks += count;
    return count;
  }

  // As many tasks are taken as were put in: so there is always one for whoever waits.
  void cycle() {
    const Instant begin = run_.clock.now();
    enqueue();
    for (std::size_t got = 0; got < batch_;) {
      const Instant asked = run_.clock.now();
      std::size_t count = 0;
      while ((count = take(batch_ - got)) == 0) {
        if (run_.clock.now() - asked > kLost) fail("no task came though there must be one");
      }
      got += count;
    }
    out.round.record((last_ - begin).count());
  }

  Run& run_;
  std::size_t batch_;
  std::uint64_t next_number_;
  std::unique_ptr<QueueDriver> driver_;
  std::vector<std::string> bodies_;
  BodyViews views_, leased_;
  Instant last_{};
};

PhaseResult sum_of(const std::vector<std::unique_ptr<Lane>>& lanes, Instant start) {
  PhaseResult out;
  Instant last = start;
  for (const auto& lane : lanes) {
    out.tasks += lane->out.tasks;
    out.refused += lane->out.refused;
    out.enqueue.merge(lane->out.enqueue);
    out.lease.merge(lane->out.lease);
    out.complete.merge(lane->out.complete);
    out.round.merge(lane->out.round);
    last = std::max(last, lane->last_answer());
  }
  out.seconds = seconds_between(start, last);
  return out;
}

// Connects all, says that they are ready, runs them.
PhaseResult run_phase(Run& run, Phase phase, const Plan& plan, const std::function<void()>& ready) {
  std::vector<std::unique_ptr<Lane>> lanes(static_cast<std::size_t>(plan.connections));
  std::barrier connected(plan.connections + 1), go(plan.connections + 1);
  Instant deadline{};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    threads.emplace_back([&, i] {
      // Phases and connections have numbers of their own.
      const auto first = ((static_cast<std::uint64_t>(phase) << 16) + i) << 40;
      lanes[i] = std::make_unique<Lane>(run, plan, first);
      connected.arrive_and_wait();
      go.arrive_and_wait();
      lanes[i]->run(phase, deadline);
    });
  }
  connected.arrive_and_wait();
  ready();
  const double cpu = cpu_seconds();
  const Instant start = run.clock.now();
  deadline = start + plan.time;
  go.arrive_and_wait();
  for (auto& thread : threads) thread.join();
  auto out = sum_of(lanes, start);
  out.driver_cpu_s = cpu_seconds() - cpu;
  return out;
}

void check_server_is_empty(const Peer& peer, const Plan& plan, const Clock& clock) {
  if (peer.left == nullptr) return;
  const Instant begin = clock.now();
  std::uint64_t left = 0;
  while ((left = peer.left(plan)) > 0) {
    if (clock.now() - begin > kLost) fail("the server still counts " + std::to_string(left) + " tasks");
  }
}

}  // namespace

void run_plan(const Peer& peer, const Plan& plan, const Ready& ready, const Done& done) {
  Run run{peer, plan, Pool(plan.body_bytes), {}, {}};
  if (peer.setup != nullptr) peer.setup(plan);
  const auto measured = [&](Phase phase, const std::string& name) {
    auto result = run_phase(run, phase, plan, [&] { ready(name); });
    result.phase = name;
    done(result);
  };
  measured(Phase::kCycle, "cycle");
  if (peer.is_queue) run.ledger.check_all_done();
  measured(Phase::kEnqueue, "enqueue");
  const auto aside = [&](Phase phase, Duration time) {
    Plan other = plan;
    other.connections = kAsideConnections;
    other.batch = kAsideBatch;
    other.time = time;
    if (peer.is_queue) run_phase(run, phase, other, [] {});
  };
  aside(Phase::kFill, plan.time / kFillPart);
  measured(Phase::kDrain, "drain");
  if (!peer.is_queue) return;
  if (run.ledger.open() > 0) aside(Phase::kDrain, kSweepTime);
  run.ledger.check_all_done();
  check_server_is_empty(peer, plan, run.clock);
}

}  // namespace skep::bench::queue
