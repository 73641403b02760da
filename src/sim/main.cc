// SPDX-License-Identifier: Apache-2.0
// skep_sim: simulated clusters, as many seeds as wanted. docs/simulation.md tells what is simulated.
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/coverage.h"
#include "sim/runner.h"

namespace skep::sim {
namespace {

constexpr const char* kHelp = R"(skep_sim: the whole cluster in one thread, under faults, from a seed
  --seeds N          so many seeds, from --first on [50]
  --first S          the first seed [1]
  --seed S           this seed alone, here, with its trace
  --seeds-file FILE  also the seeds listed in it, one a line, before the others
  --break NAME       with this deliberate breakage; 'all': each of them, which must all be found
  --managers N       so many that share a store; 1 has it to itself [1]
  --jobs N           processes at a time [1]
  --keep-going       go on after a finding, and count them
  --replay           each seed twice: both runs must be the same
  --check-coverage   fail if something that should occur never did
  --counters         print how often each event occurred
)";

struct Options {
  std::uint64_t seeds = 50;
  std::uint64_t first = 1;
  std::optional<std::uint64_t> seed;
  std::string seeds_file;
  std::string breakage;
  std::uint32_t managers = 1;
  unsigned jobs = 1;
  bool is_keeping_going = false;
  bool is_replay = false;
  bool is_coverage_checked = false;
  bool has_counters = false;
};

int misuse(const std::string& sentence) {
  std::fprintf(stderr, "skep_sim: %s\n%s", sentence.c_str(), kHelp);
  return 2;
}

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

// The sentence of what is wrong; nothing if it could be read.
std::optional<std::string> parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    bool* const is_set = flag == "--keep-going"       ? &options.is_keeping_going
                         : flag == "--replay"         ? &options.is_replay
                         : flag == "--check-coverage" ? &options.is_coverage_checked
                         : flag == "--counters"       ? &options.has_counters
                                                      : nullptr;
    if (is_set != nullptr) {
      *is_set = true;
      continue;
    }
    if (i + 1 == argc) return "'" + std::string(flag) + "' is unknown, or wants a value";
    const std::string_view value = argv[++i];
    bool is_read = true;
    if (flag == "--seeds") {
      is_read = parse_number(value, options.seeds);
    } else if (flag == "--first") {
      is_read = parse_number(value, options.first);
    } else if (flag == "--seed") {
      is_read = parse_number(value, options.seed.emplace());
    } else if (flag == "--managers") {
      is_read = parse_number(value, options.managers) && options.managers > 0 && options.managers <= 16;
    } else if (flag == "--jobs") {
      is_read = parse_number(value, options.jobs) && options.jobs > 0;
    } else if (flag == "--seeds-file") {
      options.seeds_file = value;
    } else if (flag == "--break") {
      options.breakage = value;
      is_read = value == "all" || parse_breakage(value).has_value();
    } else {
      return "'" + std::string(flag) + "' is unknown";
    }
    if (!is_read) return "'" + std::string(value) + "' is no value for " + std::string(flag);
  }
  return std::nullopt;
}

void print(const Outcome& outcome, const Kind& kind) {
  std::string with = kind.managers == 1 ? "" : " --managers " + std::to_string(kind.managers);
  if (kind.breakage != Breakage::kNone) with += " --break " + std::string(breakage_name(kind.breakage));
  std::printf("%s", outcome.trace.c_str());
  std::printf("seed %llu breaks '%s': %s\nreplay: ./dev sim --seed %llu%s\n",
              static_cast<unsigned long long>(outcome.seed), outcome.invariant.c_str(),
              outcome.sentence.c_str(), static_cast<unsigned long long>(outcome.seed), with.c_str());
}

void print(const Counters& counters) {
  for (const auto& [name, count] : counters.all()) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
  }
}

// In this process, so that a debugger sees it; all of the trace.
int run_one(std::uint64_t seed, const Kind& kind) {
  const Outcome outcome = simulate(seed, kind.breakage, kind.managers, TraceKept::kAll);
  print(outcome.counters);
  if (!outcome.is_clean()) {
    print(outcome, kind);
    return 1;
  }
  std::printf("%sseed %llu is clean: trace %016llx\n", outcome.trace.c_str(),
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(outcome.trace_hash));
  return 0;
}

std::optional<std::vector<std::uint64_t>> list_seeds(const Options& options) {
  std::vector<std::uint64_t> seeds;
  if (!options.seeds_file.empty()) {
    std::ifstream file(options.seeds_file);
    if (!file) return std::nullopt;
    for (std::string line; std::getline(file, line);) {
      std::uint64_t seed = 0;
      if (parse_number(std::string_view(line).substr(0, line.find(' ')), seed)) seeds.push_back(seed);
    }
  }
  for (std::uint64_t i = 0; i < options.seeds; ++i) seeds.push_back(options.first + i);
  return seeds;
}

int run_many(const Options& options, const std::vector<std::uint64_t>& seeds, const Kind& kind) {
  Counters counters;
  std::uint64_t events = 0;
  std::uint64_t findings = 0;
  std::uint64_t ran = 0;
  Duration virtual_time{};
  const auto run = run_seeds(seeds, kind, options.jobs, [&](const Outcome& outcome) {
    counters.merge(outcome.counters);
    events += outcome.events;
    virtual_time += outcome.virtual_time;
    ++ran;
    if (outcome.is_clean()) return true;
    ++findings;
    if (!options.is_keeping_going) {
      print(outcome, kind);
      return false;
    }
    std::printf("seed %llu breaks '%s': %s\n", static_cast<unsigned long long>(outcome.seed),
                outcome.invariant.c_str(), outcome.sentence.c_str());
    return true;
  });
  if (!run) return misuse(run.error().message);
  if (options.has_counters) print(counters);
  std::printf(
      "%llu seeds, %llu findings: %s of virtual time, %llu events, %llu tasks, %llu results checked, "
      "%llu manager lives, %llu commits\n",
      static_cast<unsigned long long>(ran), static_cast<unsigned long long>(findings),
      describe_duration(virtual_time).c_str(), static_cast<unsigned long long>(events),
      static_cast<unsigned long long>(counters.of("tasks stored")),
      static_cast<unsigned long long>(counters.of("results checked")),
      static_cast<unsigned long long>(counters.of("manager started")),
      static_cast<unsigned long long>(counters.of("durable commits") + counters.of("soft commits")));
  if (findings > 0) return 1;
  int missing = 0;
  const auto must_occur = kind.managers == 1 ? std::span<const std::string_view>(kMustOccur)
                                             : std::span<const std::string_view>(kMustOccurOfSeveral);
  for (const std::string_view name : must_occur) {
    if (!options.is_coverage_checked || counters.of(name) > 0) continue;
    std::printf("never occurred: %s\n", std::string(name).c_str());
    ++missing;
  }
  return missing > 0 ? 1 : 0;
}

int run_replays(const Options& options, const std::vector<std::uint64_t>& seeds) {
  std::vector<std::uint64_t> hashes;
  const auto run =
      run_seeds(seeds, {Breakage::kNone, options.managers}, options.jobs, [&](const Outcome& outcome) {
        hashes.push_back(outcome.trace_hash);
        return true;
      });
  if (!run) return misuse(run.error().message);
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    // In this process, with its other addresses and what the seeds before left in memory.
    if (simulate(seeds[i], Breakage::kNone, options.managers).trace_hash == hashes[i]) continue;
    std::printf("seed %llu gives two different runs\n", static_cast<unsigned long long>(seeds[i]));
    return 1;
  }
  std::printf("%llu seeds, each run twice, each the same both times\n",
              static_cast<unsigned long long>(seeds.size()));
  return 0;
}

int run_breakages(const Options& options, const std::vector<std::uint64_t>& seeds) {
  int missed = 0;
  for (const auto& [breakage, name, is_of_several] : kBreakages) {
    if (is_of_several && options.managers == 1) continue;
    std::uint64_t taken = 0;
    std::optional<Outcome> found;
    const auto run =
        run_seeds(seeds, {breakage, options.managers}, options.jobs, [&](const Outcome& outcome) {
          ++taken;
          if (!outcome.is_clean()) found = outcome;
          return outcome.is_clean();
        });
    if (!run) return misuse(run.error().message);
    if (found) {
      std::printf("%-18s found after %llu seeds by '%s': %s\n", std::string(name).c_str(),
                  static_cast<unsigned long long>(taken), found->invariant.c_str(), found->sentence.c_str());
    } else {
      std::printf("%-18s NOT FOUND in %llu seeds\n", std::string(name).c_str(),
                  static_cast<unsigned long long>(taken));
      ++missed;
    }
  }
  return missed > 0 ? 1 : 0;
}

int run(int argc, char** argv) {
  Options options;
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    std::printf("%s", kHelp);
    return 0;
  }
  if (const auto problem = parse(argc, argv, options)) return misuse(*problem);
  const Kind kind{parse_breakage(options.breakage).value_or(Breakage::kNone), options.managers};
  if (options.seed) return run_one(*options.seed, kind);
  const auto seeds = list_seeds(options);
  if (!seeds) return misuse("'" + options.seeds_file + "' can not be read");
  if (options.breakage == "all") return run_breakages(options, *seeds);
  if (options.is_replay) return run_replays(options, *seeds);
  return run_many(options, *seeds, kind);
}

}  // namespace
}  // namespace skep::sim

int main(int argc, char** argv) {
  return skep::sim::run(argc, argv);
}
