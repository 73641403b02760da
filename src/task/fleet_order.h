// SPDX-License-Identifier: Apache-2.0
// fleet_order.h - what a person orders of the fleet for a while, against what the scaling policy wants.
//
// It has an end, so that what is forgotten does not stay. A later one takes the place of an earlier one.
//
// Threads:   value.
// Units:     money in millionths of whatever unit the price of a worker is in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace skep {

// The numbers are stored and must not change.
enum class FleetOrderKind : std::uint8_t {
  kNone = 0,   // the policy decides
  kSize = 1,   // `workers` shall run
  kPause = 2,  // nothing is started and nothing let go; what fails is still cleared away
};

struct FleetOrder {
  FleetOrderKind kind = FleetOrderKind::kNone;
  std::uint32_t workers = 0;  // of kSize
  Instant given_at{};
  Instant until{};

  bool holds_at(Instant now) const { return kind != FleetOrderKind::kNone && now < until; }
  bool is_pause_at(Instant now) const { return kind == FleetOrderKind::kPause && holds_at(now); }
  bool operator==(const FleetOrder&) const = default;
};

// A month by its name, "2026-11" (UTC). Later ones are greater.
inline std::string month_of(Instant now) {
  return format_instant(now).substr(0, 7);
}

inline constexpr Duration kFleetOrderMax = hours(24 * 30);
inline constexpr std::uint32_t kFleetOrderWorkersMax = 100'000;

// The account of machines that outlive a manager: whoever leads the fleet adds to it.
inline constexpr std::string_view kClusterAccount = "cluster";

// What is added to the spending of a month. It may be written twice without being counted twice: what an
// account adds is a chain of parts, each of which begins where one before it ended.
struct SpendingPart {
  std::string account;         // who adds, of [A-Za-z0-9_-]: one life of a manager, or kClusterAccount
  Instant from = kNoInstant;   // whole milliseconds
  Instant until = kNoInstant;  // later than `from`
  std::uint64_t micros = 0;

  bool operator==(const SpendingPart&) const = default;
};

// What a store keeps of a fleet.
struct FleetRecord {
  FleetOrder order;
  // "2026-11" (UTC): the month it is by the store's clock. "": the store has said nothing yet.
  std::string month;
  std::uint64_t spent_micros = 0;  // in that month, by all managers of the store
  // Where the last part of kClusterAccount ends; kNoInstant: there is none yet.
  Instant counted_until = kNoInstant;

  bool operator==(const FleetRecord&) const = default;
};

}  // namespace skep
