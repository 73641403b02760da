// SPDX-License-Identifier: Apache-2.0
#include "sim/runner.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <sstream>
#include <string>

namespace skep::sim {
namespace {

// Of one child. Few, so that an early finding does not wait for many others.
constexpr std::size_t kSeedsOfChild = 16;

// One outcome as lines: "b SEED" when it begins, then its parts, then "e".
std::string to_lines(const Outcome& outcome) {
  std::ostringstream out;
  for (const auto& [name, count] : outcome.counters.all()) out << "c " << count << ' ' << name << '\n';
  out << "t " << outcome.virtual_time.count() << ' ' << outcome.events << ' ' << outcome.trace_hash << '\n';
  if (!outcome.is_clean()) {
    out << "i " << outcome.invariant << "\ns " << outcome.sentence << '\n';
    std::istringstream trace(outcome.trace);
    for (std::string line; std::getline(trace, line);) out << "| " << line << '\n';
  }
  out << "e\n";
  return out.str();
}

void add_line(const std::string& line, Outcome& outcome) {
  std::istringstream in(line.size() < 2 ? std::string() : line.substr(2));
  switch (line.empty() ? ' ' : line.front()) {
    case 'c': {
      std::uint64_t count = 0;
      std::string name;
      in >> count >> std::ws;
      std::getline(in, name);
      outcome.counters.add(name, count);
      return;
    }
    case 't': {
      Duration::rep time = 0;
      in >> time >> outcome.events >> outcome.trace_hash;
      outcome.virtual_time = Duration(time);
      return;
    }
    case 'i':
      outcome.invariant = in.str();
      return;
    case 's':
      outcome.sentence = in.str();
      return;
    case '|':
      outcome.trace += in.str() + "\n";
      return;
    default:
      return;
  }
}

void write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written < 0 && errno != EINTR) _exit(3);
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[noreturn]] void be_child(const std::vector<std::uint64_t>& seeds, const Kind& kind, int out) {
  for (const std::uint64_t seed : seeds) {
    write_all(out, "b " + std::to_string(seed) + "\n");
    write_all(out, to_lines(simulate(seed, kind.breakage, kind.managers)));
  }
  _exit(0);
}

struct Child {
  pid_t pid = 0;
  int in = -1;
};

Result<Child> start_child(const std::vector<std::uint64_t>& seeds, const Kind& kind) {
  int ends[2];
  if (::pipe(ends) != 0) return fail(Code::kInternal, std::string("pipe: ") + std::strerror(errno));
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Code::kInternal, std::string("fork: ") + std::strerror(errno));
  if (pid == 0) {
    ::close(ends[0]);
    be_child(seeds, kind, ends[1]);
  }
  ::close(ends[1]);
  return Child{pid, ends[0]};
}

std::string read_all(int file) {
  std::string text;
  char buffer[16'384];
  for (;;) {
    const auto got = ::read(file, buffer, sizeof buffer);
    if (got == 0 || (got < 0 && errno != EINTR)) break;
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(file);
  return text;
}

// What the child did, into `outcomes`. One that it began and did not end is its finding.
void collect(const Child& child, std::map<std::uint64_t, Outcome>& outcomes) {
  std::istringstream text(read_all(child.in));
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  std::optional<Outcome> current;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("b ")) {
      current.emplace();
      current->seed = std::stoull(line.substr(2));
    } else if (line == "e") {
      outcomes[current->seed] = std::move(*current);
      current.reset();
    } else if (current) {
      add_line(line, *current);
    }
  }
  if (!current) return;
  current->invariant = "process";
  current->sentence = WIFSIGNALED(status)
                          ? "the simulated cluster ended by signal " + std::to_string(WTERMSIG(status)) +
                                ": a SKEP_CHECK of the product, or worse; its message is above"
                          : "the simulated cluster ended in the middle";
  outcomes[current->seed] = std::move(*current);
}

}  // namespace

Result<void> run_seeds(const std::vector<std::uint64_t>& seeds, const Kind& kind, unsigned jobs,
                       const std::function<bool(const Outcome&)>& use) {
  for (std::size_t first = 0; first < seeds.size();) {
    const std::size_t batch_first = first;
    std::vector<Child> children;
    for (unsigned job = 0; job < jobs && first < seeds.size(); ++job) {
      const std::size_t last = std::min(seeds.size(), first + kSeedsOfChild);
      SKEP_TRY(Child child, start_child({seeds.begin() + static_cast<std::ptrdiff_t>(first),
                                         seeds.begin() + static_cast<std::ptrdiff_t>(last)},
                                        kind));
      children.push_back(child);
      first = last;
    }
    std::map<std::uint64_t, Outcome> outcomes;
    for (const Child& child : children) collect(child, outcomes);
    for (std::size_t at = batch_first; at < first; ++at) {
      const auto found = outcomes.find(seeds[at]);
      if (found == outcomes.end()) {  // of a child that ended before it; once more, in another
        first = at;
        break;
      }
      if (!use(found->second)) return ok();
    }
  }
  return ok();
}

}  // namespace skep::sim
