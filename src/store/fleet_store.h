// SPDX-License-Identifier: Apache-2.0
// fleet_store.h - where an order to the fleet, the month's spending and the siblings that were registered
// lie: beside the shards, for all managers of the store at once.
//
//   memory     gone with the process
//   rocksdb    the file skep.fleet in the directory, replaced as a whole; skep.fleet.lock for who changes it
//   log        the same
//   postgres   the tables skep.fleet and skep.spenders
//
// Which month it is says one clock for all managers of the store: that of the database, or of the process
// that has the directory. Of what was not added by its end the part goes into the next month.
//
// Threads:   one caller at a time; calls block.
// Errors:    kUnavailable: not now, nothing changed; kCorrupt: what is there is not what was written, and the
//            message names the place; kInvalid: no permission, or of a newer skep.
// Ownership: independent of a Store on the same place. A clock is borrowed, and outlives it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "task/fleet_order.h"

namespace skep::store {

class FleetStore {
 public:
  virtual ~FleetStore() = default;

  // Without order and spending where nothing was written yet.
  virtual Result<FleetRecord> read() = 0;

  // In the place of the order before. Durable when it returns, as is the next; success: all there is then.
  virtual Result<FleetRecord> set_order(const FleetOrder& order) = 0;

  // Adds to what was spent this month. A part that is counted already counts no more, so that one of unknown
  // outcome may be written again: known are an account's last 32 parts, in a directory its last one.
  // kFenced: of its account something is counted after `from`, and it is not this part. An account but
  // kClusterAccount is forgotten a week after its last part, where it lies in a directory any as soon as
  // another one adds: then any part of it counts.
  virtual Result<FleetRecord> add_spending(const SpendingPart& part) = 0;

  // The managers with other stores, HOST:PORT, and others in the place of those before. Where managers share
  // the store they know each other by it: nothing is kept.
  virtual Result<std::vector<std::string>> read_siblings() = 0;
  virtual Result<void> set_siblings(const std::vector<std::string>& siblings) = 0;
};

std::unique_ptr<FleetStore> make_memory_fleet(const Clock& clock);

// In the directory of an embedded engine, made if it is missing and its parent exists. Touches nothing.
std::unique_ptr<FleetStore> open_directory_fleet(std::string directory, const Clock& clock);

// In the database, where its table is made if it is missing. kInvalid, kUnavailable.
Result<std::unique_ptr<FleetStore>> open_postgres_fleet(const std::string& conninfo);

}  // namespace skep::store
