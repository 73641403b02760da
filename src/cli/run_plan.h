// SPDX-License-Identifier: Apache-2.0
// run_plan.h - what `skep run` is told to do: a command with placeholders, and the items to put in them.
//
// The placeholders are GNU parallel's: {} the item, {.} without its extension, {/} without its directory,
// {//} its directory, {/.} without both, {#} its number from 1. A command without any has the item at its
// end. There is no shell: each word is one argument, whatever is in it.
//
// Threads:   any thread; values.
// Errors:    kInvalid with a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep::cli {

struct RunPlan {
  std::vector<std::string> command;  // the program first
  std::vector<std::string> items;
};

// What stands behind "--": a command, ":::", items. `has_items`: else items come from standard input.
struct RunWords {
  RunPlan plan;
  bool has_items = false;
};
Result<RunWords> parse_run_words(const std::vector<std::string>& words);

// The items in `text`, one a line, or between zero bytes. Empty ones are none.
std::vector<std::string> split_items(const std::string& text, char separator);

// What runs the items here: one program with a parameter for each placeholder.
struct OwnProgram {
  std::string command;               // as --command has it
  std::vector<std::string> options;  // as --command-option has them
};
inline constexpr const char* kOwnProgram = "run";
// `is_parallel`: a command without a placeholder has the item at its end.
OwnProgram make_own_program(const std::vector<std::string>& command, bool is_parallel);
// The values of those parameters for one item, NAME=VALUE. kInvalid: an item that no task can carry.
Result<std::vector<std::string>> own_parameters(const std::vector<std::string>& command,
                                                const std::string& item, std::uint64_t number,
                                                bool is_parallel);

// What a fleet gets: a program that its workers list, and what each item becomes there.
struct FleetProgram {
  std::string name;
  std::vector<std::string> parameters;  // NAME=VALUE with placeholders
  bool has_body = false;                // the item is a file, and its bytes are the task's body
};
Result<FleetProgram> parse_fleet_program(const std::vector<std::string>& command);
Result<std::vector<std::string>> fleet_parameters(const FleetProgram& program, const std::string& item,
                                                  std::uint64_t number);

}  // namespace skep::cli
