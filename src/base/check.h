// SPDX-License-Identifier: Apache-2.0
// check.h - SKEP_CHECK: a broken invariant ends the process, in every build type.
//
// A manager that restarts from its store is safer than one that guesses.
//
// Threads:   any thread.
#pragma once

#include <string_view>

namespace skep {

// Writes the place and the sentence to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view message);

}  // namespace skep

// SKEP_CHECK(condition, message): `message` is anything a std::string_view can be made from; evaluated only
// on failure.
#define SKEP_CHECK(condition, message)                                                 \
  do {                                                                                 \
    if (!(condition)) ::skep::check_failed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
