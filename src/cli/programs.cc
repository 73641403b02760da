// SPDX-License-Identifier: Apache-2.0
#include "cli/programs.h"

#include <sstream>

#include "task/task.h"

namespace skep::cli {

Result<NamedProgram> parse_program(const std::string& text) {
  const auto equals = text.find('=');
  NamedProgram program;
  if (equals != std::string::npos) {
    program.name = text.substr(0, equals);
    std::istringstream words(text.substr(equals + 1));
    for (std::string word; words >> word;) program.arguments.push_back(word);
  }
  if (program.name.empty() || program.arguments.empty())
    return fail(Code::kInvalid, "'" + text + "' is not NAME=PROGRAM, such as upper=/usr/bin/tr a-z A-Z");
  SKEP_TRY(validate_name("the name of a program", program.name));
  return program;
}

}  // namespace skep::cli
