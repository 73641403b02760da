// SPDX-License-Identifier: Apache-2.0
// fleet_keeper.h - the order to the fleet, the month's spending and the registered siblings, between the
// store that keeps them and the executor that obeys them.
//
// Where managers share the store it is read again each second, so that an order given to one is known to all;
// elsewhere each ten, for the month, which the store's clock says.
//
// Threads:   start and stop from the owner's thread; the rest on the executor, where replies run, too. The
//            store is called on a thread of its own.
// Errors:    those of the store. What can not be read at the start, or later, counts as it was read last.
// Ownership: borrows executor, clock and store. After stop() nothing is replied any more.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/function.h"
#include "base/log.h"
#include "store/fleet_store.h"

namespace skep::manager {

class FleetKeeper {
 public:
  using Changed = std::function<void(const FleetRecord&)>;

  // `store` null: kept in memory. `changed` gets the record on the executor whenever it is another.
  FleetKeeper(store::FleetStore* store, bool is_shared, Executor& executor, const Clock& clock,
              Changed changed, Logger log);
  ~FleetKeeper();

  // Reads what is there; blocks. `changed` is told of it soon.
  void start();
  void stop();

  // `done` when it is stored; `changed` was told by then, here and below.
  void set_order(FleetOrder order, UniqueFunction<void(Result<void>)> done);
  void add_spending(SpendingPart part, UniqueFunction<void(Result<void>)> done);
  void set_siblings(std::vector<std::string> siblings, UniqueFunction<void(Result<void>)> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace skep::manager
