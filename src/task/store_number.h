// SPDX-License-Identifier: Apache-2.0
// store_number.h - which store an epoch is of, and so a task's id, where managers have stores of their own.
//
// The number of a store is the upper half of its epochs: docs/decisions/store_numbers.md.
//
// Threads:   value.
#pragma once

#include <cstdint>

#include "task/id.h"

namespace skep {

// From 1 to kStoreNumberMax when it begins; 0: the store has none.
using StoreNumber = std::uint16_t;
inline constexpr StoreNumber kStoreNumberMax = 0x7fff;  // the other half is for epochs that outgrow theirs

constexpr StoreNumber store_number(Epoch epoch) {
  return static_cast<StoreNumber>(epoch >> 16);
}

// The epoch after `last` in a store that is to have `number`: what it gave before it had one stays below.
constexpr Epoch next_epoch(Epoch last, StoreNumber number) {
  const bool is_first = number != 0 && store_number(last) == 0;
  return is_first ? (Epoch{number} << 16) + 1 : last + 1;
}

}  // namespace skep
