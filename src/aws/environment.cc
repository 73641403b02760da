// SPDX-License-Identifier: Apache-2.0
#include "aws/environment.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace skep::aws {
namespace {

Result<std::string> read_whole(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return fail(Code::kNotFound, "there is no file " + path);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::kInvalid, path + " can not be read");
  return text.str();
}

// The output may hold keys: no part of it goes into an error.
Result<std::string> output_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return fail(Code::kInvalid, "the program can not be started");
  std::string output;
  std::array<char, 4096> part{};
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe))
    output.append(part.data(), size);
  if (pclose(pipe) != 0) return fail(Code::kInvalid, "the program failed");
  return output;
}

}  // namespace

Environment own_environment() {
  return {[](const std::string& name) {
            const char* value = std::getenv(name.c_str());
            return std::string(value == nullptr ? "" : value);
          },
          read_whole, output_of};
}

}  // namespace skep::aws
