// SPDX-License-Identifier: Apache-2.0
// leadership.h - who decides on the size of the fleet, where several managers share the work.
//
// Threads:   everything on the scaler's executor; nothing here calls back into the scaler.
// Ownership: what is given out is a copy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scaler/fleet_share.h"

namespace skep::scaler {

enum class FleetRole : std::uint8_t {
  kAlone,    // this manager sizes its own part, by its own shards
  kLeads,    // it sizes the whole and shares it out
  kFollows,  // it keeps the share that the leader gave it
  kWaits,    // it is not known yet: everybody keeps what there is
};

// What the leader said last.
struct LeaderOrder {
  std::string leader;        // HOST:PORT
  std::uint32_t share = 0;   // of this manager's own instances
  std::uint32_t wanted = 0;  // workers in all
  std::string reason;
};

class Leadership {
 public:
  virtual ~Leadership() = default;
  virtual FleetRole role() = 0;
  // Why it is that, in words, where it is not plain; "" else.
  virtual std::string reason() = 0;
  // Others would take over what this manager leaves.
  virtual bool has_siblings() = 0;
  // Of kLeads: the parts of the siblings that are known.
  virtual std::vector<FleetPart> siblings() = 0;
  // Of kLeads: what came of them, in the order of siblings(). None: they are told of the decision, and keep
  // what they have.
  virtual void give(const std::vector<std::uint32_t>& shares, const Decision& decision) = 0;
  // Of kFollows.
  virtual LeaderOrder order() = 0;
};

}  // namespace skep::scaler
