// SPDX-License-Identifier: Apache-2.0
// demo_input.h - real input for `skep demo`: pieces of files that every Debian machine has.
//
// Threads:   the main thread.
// Errors:    kNotFound with one sentence: there is nothing to read.
// Units:     sizes are bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace skep::cli {

inline constexpr std::size_t kDemoBodyBytesMin = std::size_t{16} << 10;
inline constexpr std::size_t kDemoBodyBytesMax = std::size_t{256} << 10;

struct DemoTask {
  std::string file;  // where the body is from
  std::string body;  // kDemoBodyBytesMin to kDemoBodyBytesMax
  std::uint64_t iterations = 0;
};

// `count` tasks from the files below `directories`, in the order of their names: sizes and iterations vary,
// the same files give the same tasks. Files that are too small or not readable are passed over; where there
// are fewer files than tasks, later pieces of them follow.
Result<std::vector<DemoTask>> make_demo_tasks(const std::vector<std::string>& directories, std::size_t count);

}  // namespace skep::cli
