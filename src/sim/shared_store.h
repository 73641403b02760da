// SPDX-License-Identifier: Apache-2.0
// shared_store.h - the store that several managers share, as one life of a manager reaches it: the disk of
// the world as a database's, at the other end of a network.
//
// Every call travels to the store, happens there at one moment, and its answer travels back. Either way may
// be cut, the store may be away, and the manager may stand still or die meanwhile; then a call did not
// happen, happened without being told, or happens much later, when its sender has given it up. The store
// itself holds the rules: whose a shard is (store/membership.h), which epoch may write, and that a commit is
// whole.
//
// As store/postgres_store.h has it, a lost connection makes all claims void: what was committed softly may be
// gone, so every shard is to be taken and loaded again.
//
// Threads:   one executor at a time.
// Errors:    as store.h and membership.h say; all of them occur.
// Ownership: borrows the world, shares the process. Calls under way outlive it.
#pragma once

#include <memory>
#include <string>

#include "sim/cuts.h"
#include "sim/process.h"
#include "store/store.h"

namespace skep::sim {

struct World;

class SharedStore final : public store::Store {
 public:
  SharedStore(World& world, std::shared_ptr<Process> process, Place place);
  ~SharedStore() override;

  Result<Epoch> claim(ShardId shard) override;
  ShardId shard_count() const override;
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) override;
  bool is_shared() const override { return true; }
  Result<std::unique_ptr<store::Membership>> join(const std::string& address, Executor& executor) override;
  std::unique_ptr<store::Session> open_session(Executor& executor) override;
  store::StoreStats stats() const override { return {"simulated", "database", 0, 0, ""}; }
  Result<void> close() override { return ok(); }

  struct Connection;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace skep::sim
