// SPDX-License-Identifier: Apache-2.0
#include "base/figures.h"

#include <algorithm>
#include <cstdio>

namespace skep {

std::string with_thousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string describe_share(std::uint64_t part, std::uint64_t whole) {
  if (part >= whole) return "100.0 %";
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  const int tenths = std::min(static_cast<int>(1'000 * share), 999);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

std::string describe_rate(double each_second) {
  const char* unit = "";
  for (const char* larger : {" k", " M", " G"}) {
    if (each_second < 999.95) break;
    each_second /= 1'000;
    unit = larger;
  }
  char text[48];
  std::snprintf(text, sizeof text, "%.1f%s/s", each_second, unit);
  return text;
}

}  // namespace skep
