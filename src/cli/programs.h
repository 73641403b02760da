// SPDX-License-Identifier: Apache-2.0
// programs.h - what --command NAME=PROGRAM means: the programs that tasks of kind command may name.
//
// Threads:   any thread; a value in, a value out.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace skep::cli {

struct NamedProgram {
  std::string name;
  std::vector<std::string> arguments;  // the program itself first
};

// "resize=/usr/bin/convert -resize 50%": a name, then the program and its arguments, split at blanks; several
// of them with semicolons between. What is in quotes, '...' or "...", is not split; there are no escapes.
Result<std::vector<NamedProgram>> parse_programs(const std::string& text);

}  // namespace skep::cli
