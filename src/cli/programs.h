// SPDX-License-Identifier: Apache-2.0
// programs.h - what --command NAME=PROGRAM and --command-option NAME.KEY=VALUE mean: the programs that tasks
// of kind command may name, and their settings.
//
// Threads:   any thread; a value in, a value out.
// Errors:    kInvalid with a sentence that has the text that is wrong.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "worker/program.h"

namespace skep::cli {

struct NamedProgram {
  std::string name;
  std::vector<std::string> arguments;  // the program itself first
};

// "resize=/usr/bin/convert -resize 50%": a name, then the program and its arguments, split at blanks; several
// of them with semicolons between. What is in quotes, '...' or "...", is not split; there are no escapes.
Result<std::vector<NamedProgram>> parse_programs(const std::string& text);

// `program` as parse_programs() reads it back.
std::string quote_program(const NamedProgram& program);

// "resize.memory=256MiB": sets it in `programs`. Several with semicolons between. kInvalid: no such program,
// no such setting, or no value of it.
Result<void> set_program_options(const std::string& text, worker::Programs& programs);
// kInvalid: it is wrong whatever the programs are.
Result<void> check_program_options(const std::string& text);

// What both flags say together.
Result<worker::Programs> read_programs(const std::vector<std::string>& commands,
                                       const std::vector<std::string>& options);

}  // namespace skep::cli
