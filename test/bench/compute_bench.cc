// SPDX-License-Identifier: Apache-2.0
// Ways of computing SHA-512 side by side, driven line by line over standard input: compute.py asks, this
// answers.
//
//   compute_bench serve              answers requests until its input ends:
//       about                        what was built with what
//       open SECTION                 makes and checks the contenders; a line each: UNITS OF A ROUND, NAME,
//       WHAT, by tabs run NUMBER ROUNDS            the seconds that this took reference ITERATIONS BODY    a
//       digest, for contenders that are elsewhere
//     An answer ends with a line of one dot.
//   compute_bench loop NAME ROUNDS   one contender of chains or one kernel, for tools that count instructions
//   compute_bench list LIST POOL RESULTS   see task_list.h
#include <openssl/crypto.h>

#include <cstdio>
#include <iostream>
#include <sstream>

#include "base/clock.h"
#include "contender.h"
#include "task_list.h"

namespace skep::bench {
namespace {

Contenders open_section(const std::string& section) {
  Contenders out;
  if (section == "chains") {
    add_openssl_chains(out);
    add_ipsec_mb_chains(out);
    add_engine_chains(out);
  } else if (section == "bulk") {
    add_openssl_bulk(out);
    add_ipsec_mb_bulk(out);
    add_engine_bulk(out);
  } else if (section == "few") {
    add_openssl_chains(out);
    out.resize(1);  // the one that all are held against
    add_engine_by_jobs(out);
  } else if (section == "kernels") {
    add_kernels(out);
  } else {
    fail("there is no section " + section);
  }
  for (auto& contender : out) section == "bulk" ? check_bulk(*contender) : check_chains(*contender);
  if (section == "kernels") add_clock(out);
  return out;
}

void about() {
  std::printf("compiler\t%s\n", SKEP_BENCH_COMPILER);
  std::printf("openssl\t%s\n", OpenSSL_version(OPENSSL_VERSION));
  std::printf("openssl processor\t%s\n", OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS));
  std::printf("ipsec-mb\t%s\n", ipsec_mb_version().c_str());
}

void run(Contenders& contenders, std::istream& request) {
  std::size_t number = 0;
  std::uint64_t rounds = 0;
  if (!(request >> number >> rounds) || number >= contenders.size()) fail("run wants a number and rounds");
  const SystemClock clock;
  const Instant start = clock.now();
  contenders[number]->run(rounds);
  std::printf("%.9f\n", std::chrono::duration<double>(clock.now() - start).count());
}

int serve() {
  Contenders contenders;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream request(line);
    std::string word, text;
    request >> word;
    if (word == "about") {
      about();
    } else if (word == "open") {
      request >> text;
      contenders = open_section(text);
      for (const auto& each : contenders) {
        std::printf("%llu\t%s\t%s\n", static_cast<unsigned long long>(each->width() * each->unit()),
                    each->name().c_str(), each->what().c_str());
      }
    } else if (word == "run") {
      run(contenders, request);
    } else if (word == "reference") {
      std::uint64_t iterations = 0;
      request >> iterations >> text;
      std::printf("%s\n", compute::to_hex(compute::reference_digest(text, iterations)).c_str());
    } else {
      fail("does not know '" + line + "'");
    }
    std::printf(".\n");
    std::fflush(stdout);
  }
  return 0;
}

int loop(const std::string& name, std::uint64_t rounds) {
  Contenders all;
  add_openssl_chains(all);
  add_kernels(all);
  for (const auto& contender : all) {
    if (contender->name() != name) continue;
    contender->run(rounds);
    std::printf("%llu\n", static_cast<unsigned long long>(rounds * contender->width()));
    return 0;
  }
  fail("there is no contender " + name + " here");
}

int list(const std::string& path, const std::string& pool, const std::string& results) {
  const ListRun run = run_list(path, pool, results);
  std::printf(
      "{\"seconds\": %.6f, \"tasks\": %llu, \"hashes\": %llu, \"compressions\": %llu, \"cores\": %d, "
      "\"kernel\": \"%s\"}\n",
      run.seconds, static_cast<unsigned long long>(run.tasks), static_cast<unsigned long long>(run.hashes),
      static_cast<unsigned long long>(run.compressions), run.cores, run.kernel.c_str());
  return 0;
}

int main_of(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "serve") return serve();
  if (arguments.size() == 3 && arguments[0] == "loop") return loop(arguments[1], std::stoull(arguments[2]));
  if (arguments.size() == 4 && arguments[0] == "list") return list(arguments[1], arguments[2], arguments[3]);
  fail("serve | loop NAME ROUNDS | list LIST POOL RESULTS");
}

}  // namespace
}  // namespace skep::bench

int main(int argc, char** argv) {
  return skep::bench::main_of({argv + 1, argv + argc});
}
