// SPDX-License-Identifier: Apache-2.0
// prices.h - what a machine of each type costs an hour, where nobody says otherwise.
//
// A worker process has no bill of its own. Its price is nominal, about what a core of a rented machine cost
// at the date of the table, so that costs of tasks can be compared before there are any.
//
// An instance's is the list price on demand, with Linux, in eu-central-1; regions differ by a fifth and more,
// and the spot price is lower. Within a family it grows with the size, so the table has one size of each.
//
// Threads:   immutable.
// Units:     US dollars an hour.
#pragma once

#include <span>
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

// Of the size "large" of each family.
inline constexpr std::string_view kEc2PricesOf = "2024-12";
inline constexpr Price kEc2Larges[] = {
    {"t3", 0.0960},  {"t3a", 0.0864}, {"t4g", 0.0768}, {"m5", 0.1150},  {"m5a", 0.1040}, {"m6i", 0.1150},
    {"m6a", 0.1035}, {"m6g", 0.0920}, {"m7i", 0.1208}, {"m7a", 0.1389}, {"m7g", 0.0978}, {"c5", 0.0970},
    {"c5a", 0.0870}, {"c6i", 0.0970}, {"c6a", 0.0873}, {"c6g", 0.0776}, {"c7i", 0.1019}, {"c7a", 0.1171},
    {"c7g", 0.0824}, {"r5", 0.1520},  {"r6i", 0.1520}, {"r6g", 0.1216}, {"r7i", 0.1596}, {"r7g", 0.1292}};

// Of a PostgreSQL of RDS in two zones, on demand, in us-east-1: twice that of one zone.
inline constexpr Price kRdsLarges[] = {{"t3", 0.290},  {"t4g", 0.258}, {"m5", 0.356}, {"m6i", 0.356},
                                       {"m6g", 0.318}, {"m7g", 0.336}, {"r5", 0.500}, {"r6g", 0.450},
                                       {"r6i", 0.500}, {"r7g", 0.478}};

// In "large"s.
struct Ec2Size {
  std::string_view name;
  double larges = 0;
};
inline constexpr Ec2Size kEc2Sizes[] = {
    {"nano", 0.0625}, {"micro", 0.125}, {"small", 0.25},  {"medium", 0.5}, {"large", 1},     {"xlarge", 2},
    {"2xlarge", 4},   {"4xlarge", 8},   {"8xlarge", 16},  {"9xlarge", 18}, {"12xlarge", 24}, {"16xlarge", 32},
    {"18xlarge", 36}, {"24xlarge", 48}, {"32xlarge", 64}, {"48xlarge", 96}};

// Of a type as "c7g.large", or as "db.m6g.large". 0: it is not in the table.
constexpr double ec2_price_hour(std::string_view type) {
  constexpr std::string_view kDatabase = "db.";
  const bool is_database = type.starts_with(kDatabase);
  if (is_database) type.remove_prefix(kDatabase.size());
  const std::size_t dot = type.find('.');
  if (dot == std::string_view::npos) return 0;
  for (const Price& family :
       is_database ? std::span<const Price>(kRdsLarges) : std::span<const Price>(kEc2Larges)) {
    if (family.machine != type.substr(0, dot)) continue;
    for (const Ec2Size& size : kEc2Sizes) {
      if (size.name == type.substr(dot + 1)) return family.hour * size.larges;
    }
  }
  return 0;
}

}  // namespace skep::provision
