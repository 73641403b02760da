// SPDX-License-Identifier: Apache-2.0
// figures.h - numbers for people.
//
// Threads:   any thread.
#pragma once

#include <cstdint>
#include <string>

namespace skep {

// "1,234,567"
std::string with_thousands(std::uint64_t number);
// "37.4 %". Cut, so that "100.0 %" is all of it.
std::string describe_share(std::uint64_t part, std::uint64_t whole);
// "4.1 M/s", "12.0 k/s", "0.3/s"
std::string describe_rate(double each_second);

}  // namespace skep
