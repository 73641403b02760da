// SPDX-License-Identifier: Apache-2.0
// status.h - what of a cluster is there, what it costs, and what is wrong with it. Pure.
//
// Threads:   any thread; values in, values out.
// Units:     US dollars an hour, by list prices of eu-central-1; a region's own, spot prices, traffic, S3 and
//            databases that skep did not make are not in them. A database's is that of us-east-1.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "deploy/found.h"

namespace skep::deploy {

inline constexpr const char* kVolumePricesOf = "2024-12";
inline constexpr double kVolumeGibMonth = 0.0952;  // gp3
inline constexpr double kAddressHour = 0.005;      // a public IPv4 address
inline constexpr int kRootVolumeGib = 8;           // of Debian's image
inline constexpr double kDatabaseGibMonth = 0.23;  // gp3 of RDS, in two zones

// By type of an instance, or of a database ("db.m6g.large", in two zones); 0: unknown.
using PriceOf = std::function<double(const std::string& type)>;

struct Cost {
  std::string what;  // "2 x c6i.large, managers"
  double hour = 0;
};

struct Costs {
  std::vector<Cost> parts;
  aws::Names unpriced;  // types
  double hour() const;
};

Costs costs_of(const Found& found, const PriceOf& price_of);

// What a manager says of itself: true ready, false not; nothing: it was not reached, or has no public
// address.
using Readiness = std::map<int, std::optional<bool>>;  // by slot

// Sentences: what is wrong, and what to do. None: nothing.
aws::Names problems_of(const Names& names, const Found& found, const Readiness& readiness);

// The slots that the cluster has: of its managers, its volumes and the addresses that workers are told.
std::vector<int> slots_of(const Found& found);

}  // namespace skep::deploy
