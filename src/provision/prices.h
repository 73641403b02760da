// SPDX-License-Identifier: Apache-2.0
// prices.h - what a machine of each type costs an hour, where nobody says otherwise.
//
// A worker process has no bill of its own. Its price is nominal, about what a core of a rented machine cost
// at the date of the table, so that costs of tasks can be compared before there are any.
//
// Threads:   immutable.
// Units:     US dollars an hour.
#pragma once

#include <string_view>

namespace skep::provision {

struct Price {
  std::string_view machine;
  double hour = 0;
};
inline constexpr std::string_view kPricesOf = "2026-11";
inline constexpr Price kPrices[] = {{"process", 0.05}};

// 0: it is not in the table.
constexpr double price_hour(std::string_view machine) {
  for (const Price& price : kPrices) {
    if (price.machine == machine) return price.hour;
  }
  return 0;
}

}  // namespace skep::provision
