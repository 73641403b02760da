// SPDX-License-Identifier: Apache-2.0
// wrong_usage.h - what CLI11 says of a wrong command line, as one of our sentences: what, where, what to do.
//
// Threads:   any thread.
#pragma once

#include <string>

namespace skep::cli {

// `kind` and `text` are those of CLI11's error: get_name() and what(). `command`: the one that was given, or
// "". What it does not know it passes on as it is.
std::string wrong_usage(const std::string& kind, const std::string& text, const std::string& command);

}  // namespace skep::cli
