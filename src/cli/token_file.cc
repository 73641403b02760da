// SPDX-License-Identifier: Apache-2.0
#include "cli/token_file.h"

#include <fstream>

#include "task/access_token.h"

namespace skep::cli {
namespace {

constexpr std::size_t kFileBytesMax = 4096;

}  // namespace

std::string trimmed_token(std::string text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_blank(text.back())) text.pop_back();
  std::size_t begin = 0;
  while (begin < text.size() && is_blank(text[begin])) ++begin;
  return text.substr(begin);
}

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    return fail(Code::kInvalid,
                "--token-file: '" + path + "' can not be read: check that it exists and is yours");
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  text = trimmed_token(std::move(text));
  if (!split_token(text)) {
    return fail(Code::kInvalid,
                "--token-file: '" + path + "' has no token in it: `skep token create` makes one");
  }
  return text;
}

}  // namespace skep::cli
