// SPDX-License-Identifier: Apache-2.0
// token_file.h - a token as it stands in a file.
//
// Threads:   any thread.
// Errors:    kInvalid with a sentence that has nothing of a token.
#pragma once

#include <string>

#include "base/result.h"

namespace skep::cli {

// Without blanks and line ends around it.
std::string trimmed_token(std::string text);

// kInvalid: the file can not be read, or has no token in it.
Result<std::string> read_token(const std::string& path);

}  // namespace skep::cli
