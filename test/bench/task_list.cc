// SPDX-License-Identifier: Apache-2.0
#include "task_list.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <barrier>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "compute/plan.h"
#include "contender.h"

namespace skep::bench {
namespace {

// Compressions between two looks at the list: half a millisecond, in which no more than a few jobs end.
constexpr std::uint64_t kSlice = 20'000;
// Jobs that an engine has beyond its lanes, so that no lane waits. Few: in the end a job waits in one engine
// while the other has nothing to do.
constexpr std::size_t kAhead = 4;

struct List {
  std::vector<compute::Job> jobs;
  std::vector<compute::Digest> digests;
  std::atomic<std::size_t> next{0};
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("can not read " + path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

void read_list(const std::string& path, const std::string& pool, List& list) {
  std::istringstream lines(read_file(path));
  std::size_t begin = 0, bytes = 0;
  std::uint64_t iterations = 0;
  while (lines >> begin >> bytes >> iterations) {
    if (begin + bytes > pool.size()) fail(path + " names bytes that the pool does not have");
    list.jobs.push_back(
        {list.jobs.size(), std::make_shared<const std::string>(pool, begin, bytes), iterations, {}});
  }
  list.digests.resize(list.jobs.size());
}

std::vector<int> cores_of_this_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) fail("sched_getaffinity failed");
  std::vector<int> out;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
  }
  return out;
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) fail("a thread can not be pinned");
}

void work(List& list, compute::Engine& engine) {
  std::vector<compute::JobDone> ended;
  while (true) {
    while (engine.jobs() < engine.lanes() + kAhead) {
      const std::size_t i = list.next.fetch_add(1);
      if (i >= list.jobs.size()) break;
      engine.add(std::move(list.jobs[i]));
    }
    if (engine.run(kSlice, ended) == 0) return;
    for (const auto& job : ended) list.digests[job.key] = job.digest;
    ended.clear();
  }
}

void write_digests(const List& list, const std::string& path) {
  std::ofstream file(path);
  for (const auto& digest : list.digests) file << compute::to_hex(digest) << '\n';
  if (!file.flush()) fail("can not write " + path);
}

}  // namespace

ListRun run_list(const std::string& list_path, const std::string& pool_path, const std::string& results) {
  const SystemClock clock;
  const auto cores = cores_of_this_process();
  List list;
  read_list(list_path, read_file(pool_path), list);
  ListRun out;
  out.cores = static_cast<int>(cores.size());
  out.tasks = list.jobs.size();
  for (const auto& job : list.jobs) {
    out.hashes += job.iterations;
    out.compressions += job.iterations - 1 + compute::compressions_of(job.body->size());
  }
  std::vector<std::string> kernels(cores.size());
  std::barrier ready(static_cast<std::ptrdiff_t>(cores.size()) + 1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    threads.emplace_back([&, i]() noexcept {
      pin(cores[i]);
      const auto plan = compute::measure_plan(compute::targets_here().front(), clock);
      const auto engine = make_engine(plan);
      kernels[i] = plan.kernel_for(plan.lanes()).kernel.name;
      ready.arrive_and_wait();
      work(list, *engine);
    });
  }
  ready.arrive_and_wait();
  const Instant start = clock.now();
  for (auto& thread : threads) thread.join();
  out.seconds = std::chrono::duration<double>(clock.now() - start).count();
  out.kernel = kernels.front();
  write_digests(list, results);
  return out;
}

}  // namespace skep::bench
