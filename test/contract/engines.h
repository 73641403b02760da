// SPDX-License-Identifier: Apache-2.0
// engines.h - the engines under test, each with a disk that outlives the stores that are opened on it.
//
// A further engine joins by one more class and one more line in all_engines().
//
// Threads:   value; the test's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/fleet_store.h"
#include "store/store.h"
#include "store/token_store.h"

namespace skep::contract {

class Engine {
 public:
  virtual ~Engine() = default;

  // Opens the store on what is there, as a new process would. The store before it is closed or destroyed,
  // unless the engine is shared.
  virtual Result<std::unique_ptr<store::Store>> open(ShardId shard_count) = 0;
  // The tokens of the same place, whether a store is open there or not.
  virtual Result<std::unique_ptr<store::TokenStore>> open_tokens() = 0;
  // The same for what is kept of the fleet.
  virtual Result<std::unique_ptr<store::FleetStore>> open_fleet(const Clock& clock) = 0;
  // From now on nothing reaches the disk. The store is still there, and is destroyed next.
  virtual void power_off() = 0;
  // The store is gone; what was not synced may be lost.
  virtual void power_on(Random& random) = 0;
};

struct EngineKind {
  std::string name;
  std::function<std::unique_ptr<Engine>()> make;
  std::string why_not = "";   // it can not be tested on this machine
  bool has_own_disk = false;  // and so knows how much is free on it
  bool is_shared = false;     // several managers may have it open at a time
};
inline void PrintTo(const EngineKind& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<EngineKind> all_engines();

// A directory that is removed at the end of its scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace skep::contract
