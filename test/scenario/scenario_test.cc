// SPDX-License-Identifier: Apache-2.0
// Goal: the stories in test/scenario/*.txt are true. Method: each script is played and what it prints is
// compared with what stands in it. `scenario_test --rewrite DIR` writes what it prints instead: look at the
// difference before you commit it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "scenario_runner.h"

namespace {

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The script with what every command printed.
std::vector<std::string> play(const std::vector<std::string>& script) {
  skep::scenario::Runner runner;
  std::vector<std::string> played;
  for (const auto& line : script) {
    if (line.starts_with("  ")) continue;  // what was expected
    played.push_back(line);
    if (!line.starts_with("> ")) continue;
    for (const auto& printed : runner.run(line.substr(2))) played.push_back("  " + printed);
  }
  return played;
}

bool check(const std::filesystem::path& path, bool is_rewrite) {
  const auto script = read_lines(path);
  const auto played = play(script);
  if (script == played) return true;
  if (is_rewrite) {
    std::ofstream file(path);
    for (const auto& line : played) file << line << '\n';
    std::cout << "rewrote " << path << '\n';
    return true;
  }
  const auto [expected, got] = std::mismatch(script.begin(), script.end(), played.begin(), played.end());
  std::cout << path.string() << ":" << (expected - script.begin() + 1)
            << ":\n  expected: " << (expected == script.end() ? "(the end)" : *expected)
            << "\n  got:      " << (got == played.end() ? "(the end)" : *got) << '\n';
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_rewrite = argc == 3 && std::string(argv[1]) == "--rewrite";
  if (argc != 2 && !is_rewrite) {
    std::cerr << "usage: scenario_test [--rewrite] DIRECTORY\n";
    return 2;
  }
  int passed = 0;
  int failed = 0;
  std::vector<std::filesystem::path> scripts;
  for (const auto& entry : std::filesystem::directory_iterator(argv[argc - 1])) {
    const auto& file = entry.path();
    if (file.extension() == ".txt" && file.filename() != "CMakeLists.txt") scripts.push_back(file);
  }
  std::sort(scripts.begin(), scripts.end());
  for (const auto& script : scripts) ++(check(script, is_rewrite) ? passed : failed);
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 && passed > 0 ? 0 : 1;
}
