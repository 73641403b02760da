// SPDX-License-Identifier: Apache-2.0
// Queues under load: queues.py starts the servers and reads their processor time, this drives them.
//
//   queue_bench peers                     the names of the peers that this build can drive, one a line
//   queue_bench run PEER PORT QUEUE BODY_BYTES CONNECTIONS BATCH MILLISECONDS
//       before each phase "ready NAME", then waits for a line of its input; after it a line of JSON
//   queue_bench bare-http                 serves until its input ends; first line "listening on HOST:PORT"
//   queue_bench disk DIRECTORY MILLISECONDS
//                                         a line of JSON
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "bare_http.h"
#include "disk.h"
#include "runner.h"

namespace skep::bench::queue {
namespace {

// A server that does not answer any more ends a run by SIGALRM.
constexpr unsigned kRunSecondsMax = 600;

std::string milliseconds_of(const Histogram& histogram) {
  char out[160];
  std::snprintf(out, sizeof out, "{\"count\": %llu, \"p50_ms\": %.6f, \"p99_ms\": %.6f, \"max_ms\": %.6f}",
                static_cast<unsigned long long>(histogram.count()),
                static_cast<double>(histogram.quantile(0.50)) * 1e-6,
                static_cast<double>(histogram.quantile(0.99)) * 1e-6,
                static_cast<double>(histogram.max()) * 1e-6);
  return out;
}

void print_phase(const PhaseResult& result) {
  std::printf(
      "{\"phase\": \"%s\", \"tasks\": %llu, \"refused\": %llu, \"seconds\": %.6f, \"driver_cpu_s\": %.6f",
      result.phase.c_str(), static_cast<unsigned long long>(result.tasks),
      static_cast<unsigned long long>(result.refused), result.seconds, result.driver_cpu_s);
  std::printf(", \"round\": %s, \"enqueue\": %s", milliseconds_of(result.round).c_str(),
              milliseconds_of(result.enqueue).c_str());
  std::printf(", \"lease\": %s, \"complete\": %s}\n", milliseconds_of(result.lease).c_str(),
              milliseconds_of(result.complete).c_str());
  std::fflush(stdout);
}

void wait_for_go(const std::string& phase) {
  std::printf("ready %s\n", phase.c_str());
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) fail("nobody says that the phase may begin");
}

int run(const std::vector<std::string>& arguments) {
  Plan plan;
  plan.peer = arguments[1];
  plan.port = std::stoi(arguments[2]);
  plan.queue = arguments[3];
  plan.body_bytes = std::stoul(arguments[4]);
  plan.connections = std::stoi(arguments[5]);
  plan.batch = std::stoul(arguments[6]);
  plan.time = milliseconds(std::stoi(arguments[7]));
  for (const auto& peer : peers()) {
    if (peer.name != plan.peer) continue;
    alarm(kRunSecondsMax);
    run_plan(peer, plan, wait_for_go, print_phase);
    return 0;
  }
  fail("this build can not drive " + plan.peer);
}

int main_of(const std::vector<std::string>& arguments) {
  const std::string word = arguments.empty() ? "" : arguments[0];
  if (word == "run" && arguments.size() == 8) return run(arguments);
  if (word == "bare-http" && arguments.size() == 1) return serve_bare_http();
  if (word == "peers" && arguments.size() == 1) {
    for (const auto& peer : peers()) std::printf("%s\n", peer.name.c_str());
    return 0;
  }
  if (word == "disk" && arguments.size() == 3) {
    const auto disk = measure_disk(arguments[1], milliseconds(std::stoi(arguments[2])));
    std::printf("{\"append_bytes_a_second\": %.0f, \"sync\": %s}\n", disk.append_bytes_a_second,
                milliseconds_of(disk.sync).c_str());
    return 0;
  }
  fail(
      "run PEER PORT QUEUE BODY_BYTES CONNECTIONS BATCH MILLISECONDS | peers | bare-http | disk DIRECTORY "
      "MILLISECONDS");
}

}  // namespace

}  // namespace skep::bench::queue

int main(int argc, char** argv) {
  return skep::bench::queue::main_of({argv + 1, argv + argc});
}
